using Microsoft.ML.Data;

namespace GeneralistSample;

/// <summary>A row of a task with videos.</summary>
public sealed class VideoRow
{
    /// <summary>Frames of a video.</summary>
    public const int Frames = 4;

    /// <summary>Values from 0 to 255: frames of rows of pixels of red, green and blue.</summary>
    [VectorType(Frames, ImageRow.Side, ImageRow.Side, 3)]
    public byte[] Video { get; set; } = [];

    /// <summary>Where it moves, or what moves.</summary>
    public string Label { get; set; } = "";
}

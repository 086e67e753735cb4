using Microsoft.ML.Data;

namespace GeneralistSample;

/// <summary>A row of a task with images.</summary>
public sealed class ImageRow
{
    /// <summary>Side of every picture in pixels.</summary>
    public const int Side = 32;

    /// <summary>Red, green and blue values from 0 to 255, one colour after the other.</summary>
    [VectorType(3, Side, Side)]
    public byte[] Image { get; set; } = [];

    /// <summary>What it shows, where a task has classes.</summary>
    public string Label { get; set; } = "";

    /// <summary>What it is called, where a task describes or looks for something.</summary>
    public string Text { get; set; } = "";
}

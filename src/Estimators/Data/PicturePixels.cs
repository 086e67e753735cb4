using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A decoded picture in memory: four bytes a pixel, row by row.</summary>
/// <param name="pixels">The bytes.</param>
/// <param name="width">Pixels of a row.</param>
/// <param name="height">Rows.</param>
/// <param name="format">Which byte is which colour.</param>
internal readonly ref struct PicturePixels(ReadOnlySpan<byte> pixels, int width, int height, MLPixelFormat format)
{
    /// <summary>The bytes.</summary>
    public ReadOnlySpan<byte> Pixels { get; } = pixels;

    /// <summary>Pixels of a row.</summary>
    public int Width { get; } = width;

    /// <summary>Rows.</summary>
    public int Height { get; } = height;

    /// <summary>Which byte is which colour.</summary>
    public MLPixelFormat Format { get; } = format;
}

using Microsoft.ML.Data;

namespace Estimators.Tests.Support;

/// <summary>A tiny image whose class is its colour, as pixels.</summary>
public sealed class ColourRow
{
    [VectorType(3, 8, 8)]
    public float[] Features { get; set; } = [];

    public string? Label { get; set; }

    public int Id { get; set; }
}

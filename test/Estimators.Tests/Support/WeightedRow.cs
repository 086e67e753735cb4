using Microsoft.ML.Data;

namespace Estimators.Tests.Support;

/// <summary>A tiny image with what it weighs.</summary>
public sealed class WeightedRow
{
    [VectorType(3, 8, 8)]
    public float[] Features { get; set; } = [];

    public string? Label { get; set; }

    public int Id { get; set; }

    public float Weight { get; set; }

    public static WeightedRow Of(ColourRow row, float weight) =>
        new()
        {
            Features = row.Features,
            Label = row.Label,
            Id = row.Id,
            Weight = weight,
        };
}

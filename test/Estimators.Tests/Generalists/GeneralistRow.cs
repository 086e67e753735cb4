using Microsoft.ML.Data;

namespace Estimators.Tests.Generalists;

/// <summary>A row of any task; what a task does not read stays as it is here.</summary>
public sealed class GeneralistRow
{
    public string Task { get; set; } = "";

    [VectorType(3, 8, 8)]
    public float[] Features { get; set; } = new float[3 * 8 * 8];

    [VectorType(2, 8, 8, 3)]
    public byte[] Video { get; set; } = new byte[2 * 8 * 8 * 3];

    public string Text { get; set; } = "";

    public string SecondText { get; set; } = "";

    public string Label { get; set; } = "";
}

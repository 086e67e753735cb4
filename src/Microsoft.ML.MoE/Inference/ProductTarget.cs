namespace Microsoft.ML.MoE.Inference;

/// <summary>Where a product goes, and what is done to a finished sum: (what was there +) sum + bias, then GELU.</summary>
/// <param name="data">The first number.</param>
/// <param name="stride">Numbers from one row to the next.</param>
internal readonly unsafe struct ProductTarget(float* data, nint stride)
{
    public readonly float* Data = data;
    public readonly nint Stride = stride;

    /// <summary>Added to every row, in room for whole panels; null for none.</summary>
    public float* Bias { get; init; }

    /// <summary>Whether to add to what is there.</summary>
    public bool Add { get; init; }

    /// <summary>Whether GELU is applied. Not together with <see cref="Add"/>.</summary>
    public bool Gelu { get; init; }
}

namespace Microsoft.ML.MoE.Inference;

/// <summary>Queries, keys or values of one head.</summary>
/// <param name="Data">The first number.</param>
/// <param name="Count">How many there are.</param>
/// <param name="Stride">Numbers from one to the next.</param>
internal readonly unsafe record struct HeadRows(nint Data, int Count, nint Stride)
{
    public HeadRows(float* data, int count, nint stride) : this((nint)data, count, stride)
    {
    }

    /// <summary>The first number.</summary>
    public float* First => (float*)Data;
}

namespace Microsoft.ML.MoE.Inference;

/// <summary>The rows of a left operand.</summary>
/// <param name="data">The first number.</param>
/// <param name="stride">Numbers from one row to the next.</param>
/// <param name="index">The row of memory that stands for row r; null where they are in order.</param>
internal readonly unsafe struct LeftRows(float* data, nint stride, long* index = null)
{
    public readonly float* Data = data;
    public readonly nint Stride = stride;
    public readonly long* Index = index;

    /// <summary>A row.</summary>
    public float* this[int row] => Data + ((Index == null ? row : (nint)Index[row]) * Stride);
}

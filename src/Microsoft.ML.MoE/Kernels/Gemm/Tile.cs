namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Where the micro-kernel writes a tile of sums, and what it adds to them.</summary>
/// <param name="first">The first of the tile's rows.</param>
/// <param name="stride">Numbers from one row to the next.</param>
/// <param name="add">Whether to add to what the tile holds.</param>
/// <param name="bias">Added to every row, a number for each column of a whole tile or of half a one; null for none.</param>
internal readonly unsafe struct Tile(float* first, nint stride, bool add, float* bias)
{
    public readonly float* First = first;
    public readonly nint Stride = stride;
    public readonly bool Add = add;
    public readonly float* Bias = bias;
}

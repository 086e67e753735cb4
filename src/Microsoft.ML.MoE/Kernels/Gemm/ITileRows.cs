namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Rows of a tile, known to the compiler.</summary>
internal interface ITileRows
{
    /// <summary>How many.</summary>
    static abstract int Count { get; }
}

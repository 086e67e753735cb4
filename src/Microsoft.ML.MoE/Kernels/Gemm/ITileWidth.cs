namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Whether a tile is as wide as two vectors or as one, known to the compiler.</summary>
internal interface ITileWidth
{
    /// <summary>Whether it is two.</summary>
    static abstract bool IsWhole { get; }
}

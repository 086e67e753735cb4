// The innermost loop of the managed matrix product: a tile of sums in vector registers, which grows by one outer product a step.
//
// Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008).

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>
/// Multiplies a packed left panel (depth × <see cref="Rows"/>) with a packed right panel (depth × <see cref="Columns"/>), by the widest
/// instructions of the processor.
/// </summary>
internal static unsafe class MicroKernel
{
    /// <summary>Rows of the largest tile.</summary>
    public const int MaxRows = MicroKernel512.Rows;

    /// <summary>Columns of the largest tile.</summary>
    public const int MaxColumns = MicroKernel512.Columns;

    /// <summary>Whether the processor has the instructions.</summary>
    public static bool IsSupported => Avx512F.IsSupported || (Avx2.IsSupported && Fma.IsSupported);

    /// <summary>Rows of a tile.</summary>
    public static int Rows => Avx512F.IsSupported ? MicroKernel512.Rows : MicroKernel256.Rows;

    /// <summary>Columns of a tile.</summary>
    public static int Columns => Avx512F.IsSupported ? MicroKernel512.Columns : MicroKernel256.Columns;

    /// <summary>Computes tile = Σₖ left[k, ·]ᵀ · right[k, ·], or adds that to it.</summary>
    /// <param name="depth">Terms k of the sum.</param>
    /// <param name="left">Packed panel, element (k, row) at k·Rows + row.</param>
    /// <param name="right">Packed panel, element (k, column) at k·Columns + column.</param>
    /// <param name="tile">The first of the tile's rows.</param>
    /// <param name="stride">Numbers from one row of the tile to the next.</param>
    /// <param name="add">Whether to add to what the tile holds.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(int depth, float* left, float* right, float* tile, nint stride, bool add)
    {
        if (Avx512F.IsSupported)
            MicroKernel512.Multiply(depth, left, right, tile, stride, add);
        else
            MicroKernel256.Multiply(depth, left, right, tile, stride, add);
    }
}

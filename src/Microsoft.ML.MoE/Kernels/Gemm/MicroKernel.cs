// The innermost loop of the managed matrix product: a tile of sums in vector registers, which grows by one outer product a step.
//
// Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (2008). The left operand's numbers are spread one by one, so
// that it can be read where it lies, row by row or column by column; of the right one whole vectors are read.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>
/// Multiplies some lines of the left operand with some columns of the right one, by the widest instructions of the processor.
/// </summary>
internal static unsafe class MicroKernel
{
    /// <summary>Rows of the largest tile.</summary>
    public const int MaxRows = MicroKernel512.Rows;

    /// <summary>Columns of the largest tile.</summary>
    public const int MaxColumns = MicroKernel512.Columns;

    /// <summary>Whether the processor has the instructions.</summary>
    public static bool IsSupported => Avx512F.IsSupported || (Avx2.IsSupported && Fma.IsSupported);

    /// <summary>Rows of a tile that fills the registers.</summary>
    public static int Rows => Avx512F.IsSupported ? MicroKernel512.Rows : MicroKernel256.Rows;

    /// <summary>Columns of a whole tile.</summary>
    public static int Columns => Avx512F.IsSupported ? MicroKernel512.Columns : MicroKernel256.Columns;

    /// <summary>Computes tile = Σₖ left[·, k] · right[k, ·] + bias, or adds that to it.</summary>
    /// <param name="rows">Rows of the tile, from 1 to <see cref="Rows"/>.</param>
    /// <param name="half">Whether the tile has half of <see cref="Columns"/>.</param>
    /// <param name="depth">Terms k of the sum, at least 1.</param>
    /// <param name="left">The left operand.</param>
    /// <param name="right">The first numbers of the right operand.</param>
    /// <param name="rightStep">Numbers from one of its terms to the next.</param>
    /// <param name="tile">What is written.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(int rows, bool half, int depth, in Lines left, float* right, nint rightStep, in Tile tile)
    {
        if (Avx512F.IsSupported)
            MicroKernel512.Multiply(rows, half, depth, left, right, rightStep, tile);
        else
            MicroKernel256.Multiply(rows, half, depth, left, right, rightStep, tile);
    }
}

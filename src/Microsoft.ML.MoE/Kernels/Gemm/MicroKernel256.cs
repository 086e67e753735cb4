// The innermost loop of the managed matrix product, with AVX2: a tile of up to 6 × 16 float32 sums in 12 vector registers of 256 bits.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary><see cref="MicroKernel.Multiply"/> with AVX2 and FMA.</summary>
internal static unsafe class MicroKernel256
{
    public const int Rows = 6;
    public const int Columns = 16;

    /// <inheritdoc cref="MicroKernel.Multiply"/>
    public static void Multiply(int rows, bool half, int depth, in Lines left, float* right, nint rightStep, in Tile tile)
    {
        if (half)
            Multiply<TileWidth.Half>(rows, depth, left, right, rightStep, tile);
        else
            Multiply<TileWidth.Whole>(rows, depth, left, right, rightStep, tile);
    }

    private static void Multiply<TWidth>(int rows, int depth, in Lines left, float* right, nint rightStep, in Tile tile)
        where TWidth : struct, ITileWidth
    {
        switch (rows)
        {
            case 1:
                Run<TileRows.One, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 2:
                Run<TileRows.Two, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 3:
                Run<TileRows.Three, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 4:
                Run<TileRows.Four, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 5:
                Run<TileRows.Five, TWidth>(depth, left, right, rightStep, tile);
                break;
            default:
                Run<TileRows.Six, TWidth>(depth, left, right, rightStep, tile);
                break;
        }
    }

    // Optimised at once: it runs too long per call and too rarely for tiering to notice. What a height or a width does not need, the
    // compiler leaves out.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<TRows, TWidth>(int depth, in Lines left, float* right, nint rightStep, in Tile tile)
        where TRows : struct, ITileRows
        where TWidth : struct, ITileWidth
    {
        if (depth >= 128)   // a short sum leaves no time for it
            Prefetch<TRows, TWidth>(tile);

        Vector256<float> r0a = default, r0b = default, r1a = default, r1b = default;
        Vector256<float> r2a = default, r2b = default, r3a = default, r3b = default;
        Vector256<float> r4a = default, r4b = default, r5a = default, r5b = default;

        var (line, term) = (left.Line, left.Term);
        var line2 = 2 * line;
        var l0 = left.First;
        var l3 = l0 + (TRows.Count > 3 ? line2 + line : 0);
        do
        {
            var a = Vector256.Load(right);
            var b = TWidth.IsWhole ? Vector256.Load(right + 8) : default;
            var x = Vector256.Create(l0[0]);
            r0a = Vector256.FusedMultiplyAdd(x, a, r0a);
            if (TWidth.IsWhole)
                r0b = Vector256.FusedMultiplyAdd(x, b, r0b);
            if (TRows.Count > 1)
            {
                x = Vector256.Create(l0[line]);
                r1a = Vector256.FusedMultiplyAdd(x, a, r1a);
                if (TWidth.IsWhole)
                    r1b = Vector256.FusedMultiplyAdd(x, b, r1b);
            }

            if (TRows.Count > 2)
            {
                x = Vector256.Create(l0[line2]);
                r2a = Vector256.FusedMultiplyAdd(x, a, r2a);
                if (TWidth.IsWhole)
                    r2b = Vector256.FusedMultiplyAdd(x, b, r2b);
            }

            if (TRows.Count > 3)
            {
                x = Vector256.Create(l3[0]);
                r3a = Vector256.FusedMultiplyAdd(x, a, r3a);
                if (TWidth.IsWhole)
                    r3b = Vector256.FusedMultiplyAdd(x, b, r3b);
            }

            if (TRows.Count > 4)
            {
                x = Vector256.Create(l3[line]);
                r4a = Vector256.FusedMultiplyAdd(x, a, r4a);
                if (TWidth.IsWhole)
                    r4b = Vector256.FusedMultiplyAdd(x, b, r4b);
            }

            if (TRows.Count > 5)
            {
                x = Vector256.Create(l3[line2]);
                r5a = Vector256.FusedMultiplyAdd(x, a, r5a);
                if (TWidth.IsWhole)
                    r5b = Vector256.FusedMultiplyAdd(x, b, r5b);
            }

            l0 += term;
            l3 += term;
            right += rightStep;
        }
        while (--depth > 0);

        var output = tile.First;
        var stride = tile.Stride;
        var biasA = tile.Bias == null ? default : Vector256.Load(tile.Bias);
        var biasB = tile.Bias == null || !TWidth.IsWhole ? default : Vector256.Load(tile.Bias + 8);
        Store<TWidth>(output, r0a + biasA, r0b + biasB, tile.Add);
        if (TRows.Count > 1)
            Store<TWidth>(output += stride, r1a + biasA, r1b + biasB, tile.Add);
        if (TRows.Count > 2)
            Store<TWidth>(output += stride, r2a + biasA, r2b + biasB, tile.Add);
        if (TRows.Count > 3)
            Store<TWidth>(output += stride, r3a + biasA, r3b + biasB, tile.Add);
        if (TRows.Count > 4)
            Store<TWidth>(output += stride, r4a + biasA, r4b + biasB, tile.Add);
        if (TRows.Count > 5)
            Store<TWidth>(output += stride, r5a + biasA, r5b + biasB, tile.Add);
    }

    // The sums are needed at the end, and come from far.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch<TRows, TWidth>(in Tile tile)
        where TRows : struct, ITileRows
        where TWidth : struct, ITileWidth
    {
        var row = tile.First;
        for (var i = 0; i < TRows.Count; i++, row += tile.Stride)
        {
            Sse.Prefetch0(row);
            if (TWidth.IsWhole)
                Sse.Prefetch0(row + 15);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TWidth>(float* row, Vector256<float> a, Vector256<float> b, bool add)
        where TWidth : struct, ITileWidth
    {
        if (add)
        {
            a += Vector256.Load(row);
            if (TWidth.IsWhole)
                b += Vector256.Load(row + 8);
        }

        a.Store(row);
        if (TWidth.IsWhole)
            b.Store(row + 8);
    }
}

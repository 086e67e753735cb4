// The innermost loop of the managed matrix product, with AVX-512: a tile of up to 12 × 32 float32 sums in 24 vector registers of 512 bits.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary><see cref="MicroKernel.Multiply"/> with AVX-512.</summary>
internal static unsafe class MicroKernel512
{
    public const int Rows = 12;
    public const int Columns = 32;

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
            case 6:
                Run<TileRows.Six, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 7:
                Run<TileRows.Seven, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 8:
                Run<TileRows.Eight, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 9:
                Run<TileRows.Nine, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 10:
                Run<TileRows.Ten, TWidth>(depth, left, right, rightStep, tile);
                break;
            case 11:
                Run<TileRows.Eleven, TWidth>(depth, left, right, rightStep, tile);
                break;
            default:
                Run<TileRows.Twelve, TWidth>(depth, left, right, rightStep, tile);
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

        Vector512<float> r0a = default, r0b = default, r1a = default, r1b = default;
        Vector512<float> r2a = default, r2b = default, r3a = default, r3b = default;
        Vector512<float> r4a = default, r4b = default, r5a = default, r5b = default;
        Vector512<float> r6a = default, r6b = default, r7a = default, r7b = default;
        Vector512<float> r8a = default, r8b = default, r9a = default, r9b = default;
        Vector512<float> r10a = default, r10b = default, r11a = default, r11b = default;

        var (line, term) = (left.Line, left.Term);
        var line2 = 2 * line;
        var l0 = left.First;
        var l3 = l0 + (TRows.Count > 3 ? line2 + line : 0);
        var l6 = l3 + (TRows.Count > 6 ? line2 + line : 0);
        var l9 = l6 + (TRows.Count > 9 ? line2 + line : 0);
        do
        {
            var a = Vector512.Load(right);
            var b = TWidth.IsWhole ? Vector512.Load(right + 16) : default;
            var x = Vector512.Create(l0[0]);
            r0a = Vector512.FusedMultiplyAdd(x, a, r0a);
            if (TWidth.IsWhole)
                r0b = Vector512.FusedMultiplyAdd(x, b, r0b);
            if (TRows.Count > 1)
            {
                x = Vector512.Create(l0[line]);
                r1a = Vector512.FusedMultiplyAdd(x, a, r1a);
                if (TWidth.IsWhole)
                    r1b = Vector512.FusedMultiplyAdd(x, b, r1b);
            }

            if (TRows.Count > 2)
            {
                x = Vector512.Create(l0[line2]);
                r2a = Vector512.FusedMultiplyAdd(x, a, r2a);
                if (TWidth.IsWhole)
                    r2b = Vector512.FusedMultiplyAdd(x, b, r2b);
            }

            if (TRows.Count > 3)
            {
                x = Vector512.Create(l3[0]);
                r3a = Vector512.FusedMultiplyAdd(x, a, r3a);
                if (TWidth.IsWhole)
                    r3b = Vector512.FusedMultiplyAdd(x, b, r3b);
            }

            if (TRows.Count > 4)
            {
                x = Vector512.Create(l3[line]);
                r4a = Vector512.FusedMultiplyAdd(x, a, r4a);
                if (TWidth.IsWhole)
                    r4b = Vector512.FusedMultiplyAdd(x, b, r4b);
            }

            if (TRows.Count > 5)
            {
                x = Vector512.Create(l3[line2]);
                r5a = Vector512.FusedMultiplyAdd(x, a, r5a);
                if (TWidth.IsWhole)
                    r5b = Vector512.FusedMultiplyAdd(x, b, r5b);
            }

            if (TRows.Count > 6)
            {
                x = Vector512.Create(l6[0]);
                r6a = Vector512.FusedMultiplyAdd(x, a, r6a);
                if (TWidth.IsWhole)
                    r6b = Vector512.FusedMultiplyAdd(x, b, r6b);
            }

            if (TRows.Count > 7)
            {
                x = Vector512.Create(l6[line]);
                r7a = Vector512.FusedMultiplyAdd(x, a, r7a);
                if (TWidth.IsWhole)
                    r7b = Vector512.FusedMultiplyAdd(x, b, r7b);
            }

            if (TRows.Count > 8)
            {
                x = Vector512.Create(l6[line2]);
                r8a = Vector512.FusedMultiplyAdd(x, a, r8a);
                if (TWidth.IsWhole)
                    r8b = Vector512.FusedMultiplyAdd(x, b, r8b);
            }

            if (TRows.Count > 9)
            {
                x = Vector512.Create(l9[0]);
                r9a = Vector512.FusedMultiplyAdd(x, a, r9a);
                if (TWidth.IsWhole)
                    r9b = Vector512.FusedMultiplyAdd(x, b, r9b);
            }

            if (TRows.Count > 10)
            {
                x = Vector512.Create(l9[line]);
                r10a = Vector512.FusedMultiplyAdd(x, a, r10a);
                if (TWidth.IsWhole)
                    r10b = Vector512.FusedMultiplyAdd(x, b, r10b);
            }

            if (TRows.Count > 11)
            {
                x = Vector512.Create(l9[line2]);
                r11a = Vector512.FusedMultiplyAdd(x, a, r11a);
                if (TWidth.IsWhole)
                    r11b = Vector512.FusedMultiplyAdd(x, b, r11b);
            }

            l0 += term;
            l3 += term;
            l6 += term;
            l9 += term;
            right += rightStep;
        }
        while (--depth > 0);

        var output = tile.First;
        var stride = tile.Stride;
        var biasA = tile.Bias == null ? default : Vector512.Load(tile.Bias);
        var biasB = tile.Bias == null || !TWidth.IsWhole ? default : Vector512.Load(tile.Bias + 16);
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
        if (TRows.Count > 6)
            Store<TWidth>(output += stride, r6a + biasA, r6b + biasB, tile.Add);
        if (TRows.Count > 7)
            Store<TWidth>(output += stride, r7a + biasA, r7b + biasB, tile.Add);
        if (TRows.Count > 8)
            Store<TWidth>(output += stride, r8a + biasA, r8b + biasB, tile.Add);
        if (TRows.Count > 9)
            Store<TWidth>(output += stride, r9a + biasA, r9b + biasB, tile.Add);
        if (TRows.Count > 10)
            Store<TWidth>(output += stride, r10a + biasA, r10b + biasB, tile.Add);
        if (TRows.Count > 11)
            Store<TWidth>(output += stride, r11a + biasA, r11b + biasB, tile.Add);
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
                Sse.Prefetch0(row + 31);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store<TWidth>(float* row, Vector512<float> a, Vector512<float> b, bool add)
        where TWidth : struct, ITileWidth
    {
        if (add)
        {
            a += Vector512.Load(row);
            if (TWidth.IsWhole)
                b += Vector512.Load(row + 16);
        }

        a.Store(row);
        if (TWidth.IsWhole)
            b.Store(row + 16);
    }
}

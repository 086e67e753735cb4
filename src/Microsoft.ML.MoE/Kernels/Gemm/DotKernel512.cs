// Sums of products of rows with rows, with AVX-512: 6 × 4 of them at a time, each in the lanes of a vector register of 512 bits.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary><see cref="DotKernel"/> with AVX-512.</summary>
internal static unsafe class DotKernel512
{
    /// <summary>Rows of the left operand that are multiplied at a time.</summary>
    public const int Rows = 6;

    /// <summary>Terms of a sum are a multiple of this.</summary>
    public const int Terms = 16;

    /// <inheritdoc cref="DotKernel.Multiply"/>
    public static void Multiply(int rows, int depth, float* left, nint leftStride, float* right, nint rightStride, in Tile tile)
    {
        switch (rows)
        {
            case 1:
                Run<TileRows.One>(depth, left, leftStride, right, rightStride, tile);
                break;
            case 2:
                Run<TileRows.Two>(depth, left, leftStride, right, rightStride, tile);
                break;
            case 3:
                Run<TileRows.Three>(depth, left, leftStride, right, rightStride, tile);
                break;
            case 4:
                Run<TileRows.Four>(depth, left, leftStride, right, rightStride, tile);
                break;
            case 5:
                Run<TileRows.Five>(depth, left, leftStride, right, rightStride, tile);
                break;
            default:
                Run<TileRows.Six>(depth, left, leftStride, right, rightStride, tile);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<TRows>(int depth, float* left, nint leftStride, float* right, nint rightStride, in Tile tile)
        where TRows : struct, ITileRows
    {
        Vector512<float> r0a = default, r0b = default, r0c = default, r0d = default;
        Vector512<float> r1a = default, r1b = default, r1c = default, r1d = default;
        Vector512<float> r2a = default, r2b = default, r2c = default, r2d = default;
        Vector512<float> r3a = default, r3b = default, r3c = default, r3d = default;
        Vector512<float> r4a = default, r4b = default, r4c = default, r4d = default;
        Vector512<float> r5a = default, r5b = default, r5c = default, r5d = default;
        var right2 = right + (2 * rightStride);
        var leftStride2 = 2 * leftStride;
        var left3 = left + (TRows.Count > 3 ? leftStride2 + leftStride : 0);
        for (var k = 0; k < depth; k += 16)
        {
            var (a, b) = (Vector512.Load(right + k), Vector512.Load(right + rightStride + k));
            var (c, d) = (Vector512.Load(right2 + k), Vector512.Load(right2 + rightStride + k));
            var x = Vector512.Load(left + k);
            r0a = Vector512.FusedMultiplyAdd(x, a, r0a);
            r0b = Vector512.FusedMultiplyAdd(x, b, r0b);
            r0c = Vector512.FusedMultiplyAdd(x, c, r0c);
            r0d = Vector512.FusedMultiplyAdd(x, d, r0d);
            if (TRows.Count > 1)
            {
                x = Vector512.Load(left + leftStride + k);
                r1a = Vector512.FusedMultiplyAdd(x, a, r1a);
                r1b = Vector512.FusedMultiplyAdd(x, b, r1b);
                r1c = Vector512.FusedMultiplyAdd(x, c, r1c);
                r1d = Vector512.FusedMultiplyAdd(x, d, r1d);
            }

            if (TRows.Count > 2)
            {
                x = Vector512.Load(left + leftStride2 + k);
                r2a = Vector512.FusedMultiplyAdd(x, a, r2a);
                r2b = Vector512.FusedMultiplyAdd(x, b, r2b);
                r2c = Vector512.FusedMultiplyAdd(x, c, r2c);
                r2d = Vector512.FusedMultiplyAdd(x, d, r2d);
            }

            if (TRows.Count > 3)
            {
                x = Vector512.Load(left3 + k);
                r3a = Vector512.FusedMultiplyAdd(x, a, r3a);
                r3b = Vector512.FusedMultiplyAdd(x, b, r3b);
                r3c = Vector512.FusedMultiplyAdd(x, c, r3c);
                r3d = Vector512.FusedMultiplyAdd(x, d, r3d);
            }

            if (TRows.Count > 4)
            {
                x = Vector512.Load(left3 + leftStride + k);
                r4a = Vector512.FusedMultiplyAdd(x, a, r4a);
                r4b = Vector512.FusedMultiplyAdd(x, b, r4b);
                r4c = Vector512.FusedMultiplyAdd(x, c, r4c);
                r4d = Vector512.FusedMultiplyAdd(x, d, r4d);
            }

            if (TRows.Count > 5)
            {
                x = Vector512.Load(left3 + leftStride2 + k);
                r5a = Vector512.FusedMultiplyAdd(x, a, r5a);
                r5b = Vector512.FusedMultiplyAdd(x, b, r5b);
                r5c = Vector512.FusedMultiplyAdd(x, c, r5c);
                r5d = Vector512.FusedMultiplyAdd(x, d, r5d);
            }
        }

        var output = tile.First;
        var bias = tile.Bias == null ? default : Vector128.Load(tile.Bias);
        Store(output, bias, r0a, r0b, r0c, r0d, tile.Add);
        if (TRows.Count > 1)
            Store(output += tile.Stride, bias, r1a, r1b, r1c, r1d, tile.Add);
        if (TRows.Count > 2)
            Store(output += tile.Stride, bias, r2a, r2b, r2c, r2d, tile.Add);
        if (TRows.Count > 3)
            Store(output += tile.Stride, bias, r3a, r3b, r3c, r3d, tile.Add);
        if (TRows.Count > 4)
            Store(output += tile.Stride, bias, r4a, r4b, r4c, r4d, tile.Add);
        if (TRows.Count > 5)
            Store(output += tile.Stride, bias, r5a, r5b, r5c, r5d, tile.Add);
    }

    // Adds up the lanes of four sums, always in the same order.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(
        float* output, Vector128<float> bias, Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d, bool add)
    {
        var ab = Avx512F.UnpackLow(a, b) + Avx512F.UnpackHigh(a, b);
        var cd = Avx512F.UnpackLow(c, d) + Avx512F.UnpackHigh(c, d);
        var abcd =
            Avx512F.UnpackLow(ab.AsDouble(), cd.AsDouble()).AsSingle() + Avx512F.UnpackHigh(ab.AsDouble(), cd.AsDouble()).AsSingle();
        var half = abcd.GetLower() + abcd.GetUpper();
        var sums = half.GetLower() + half.GetUpper() + bias;
        if (add)
            sums += Vector128.Load(output);
        sums.Store(output);
    }
}

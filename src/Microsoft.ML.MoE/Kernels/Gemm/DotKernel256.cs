// Sums of products of rows with rows, with AVX2: 2 × 4 of them at a time, each in the lanes of a vector register of 256 bits.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary><see cref="DotKernel"/> with AVX2 and FMA.</summary>
internal static unsafe class DotKernel256
{
    /// <summary>Rows of the left operand that are multiplied at a time.</summary>
    public const int Rows = 2;

    /// <summary>Terms of a sum are a multiple of this.</summary>
    public const int Terms = 8;

    /// <inheritdoc cref="DotKernel.Multiply"/>
    public static void Multiply(int rows, int depth, float* left, nint leftStride, float* right, nint rightStride, in Tile tile)
    {
        switch (rows)
        {
            case 1:
                Run<TileRows.One>(depth, left, leftStride, right, rightStride, tile);
                break;
            default:
                Run<TileRows.Two>(depth, left, leftStride, right, rightStride, tile);
                break;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Run<TRows>(int depth, float* left, nint leftStride, float* right, nint rightStride, in Tile tile)
        where TRows : struct, ITileRows
    {
        Vector256<float> r0a = default, r0b = default, r0c = default, r0d = default;
        Vector256<float> r1a = default, r1b = default, r1c = default, r1d = default;
        var right2 = right + (2 * rightStride);
        var leftStride2 = 2 * leftStride;
        for (var k = 0; k < depth; k += 8)
        {
            var (a, b) = (Vector256.Load(right + k), Vector256.Load(right + rightStride + k));
            var (c, d) = (Vector256.Load(right2 + k), Vector256.Load(right2 + rightStride + k));
            var x = Vector256.Load(left + k);
            r0a = Vector256.FusedMultiplyAdd(x, a, r0a);
            r0b = Vector256.FusedMultiplyAdd(x, b, r0b);
            r0c = Vector256.FusedMultiplyAdd(x, c, r0c);
            r0d = Vector256.FusedMultiplyAdd(x, d, r0d);
            if (TRows.Count > 1)
            {
                x = Vector256.Load(left + leftStride + k);
                r1a = Vector256.FusedMultiplyAdd(x, a, r1a);
                r1b = Vector256.FusedMultiplyAdd(x, b, r1b);
                r1c = Vector256.FusedMultiplyAdd(x, c, r1c);
                r1d = Vector256.FusedMultiplyAdd(x, d, r1d);
            }
        }

        var output = tile.First;
        var bias = tile.Bias == null ? default : Vector128.Load(tile.Bias);
        Store(output, bias, r0a, r0b, r0c, r0d, tile.Add);
        if (TRows.Count > 1)
            Store(output += tile.Stride, bias, r1a, r1b, r1c, r1d, tile.Add);
    }

    // Adds up the lanes of four sums, always in the same order.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(
        float* output, Vector128<float> bias, Vector256<float> a, Vector256<float> b, Vector256<float> c, Vector256<float> d, bool add)
    {
        var ab = Avx.UnpackLow(a, b) + Avx.UnpackHigh(a, b);
        var cd = Avx.UnpackLow(c, d) + Avx.UnpackHigh(c, d);
        var abcd =
            Avx.UnpackLow(ab.AsDouble(), cd.AsDouble()).AsSingle() + Avx.UnpackHigh(ab.AsDouble(), cd.AsDouble()).AsSingle();
        var sums = abcd.GetLower() + abcd.GetUpper() + bias;
        if (add)
            sums += Vector128.Load(output);
        sums.Store(output);
    }
}

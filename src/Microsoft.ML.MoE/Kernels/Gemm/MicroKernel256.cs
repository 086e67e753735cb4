// The innermost loop of the managed matrix product, with AVX2: a tile of 6 × 16 float32 sums in 12 vector registers of 256 bits.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>
/// Multiplies a packed left panel (depth × 6) with a packed right panel (depth × 16): <see cref="MicroKernel.Multiply"/> with AVX2 and FMA.
/// </summary>
internal static unsafe class MicroKernel256
{
    public const int Rows = 6;
    public const int Columns = 16;

    // Optimised at once: it runs too long per call and too rarely for tiering to notice.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(int depth, float* left, float* right, float* tile, nint stride, bool add)
    {
        Vector256<float> r0a = default,
            r0b = default,
            r1a = default,
            r1b = default,
            r2a = default,
            r2b = default,
            r3a = default,
            r3b = default;
        Vector256<float> r4a = default,
            r4b = default,
            r5a = default,
            r5b = default;

        for (var k = 0; k < depth; k++)
        {
            var a = Vector256.Load(right);
            var b = Vector256.Load(right + 8);
            var x = Vector256.Create(left[0]);
            r0a = Vector256.FusedMultiplyAdd(x, a, r0a);
            r0b = Vector256.FusedMultiplyAdd(x, b, r0b);
            x = Vector256.Create(left[1]);
            r1a = Vector256.FusedMultiplyAdd(x, a, r1a);
            r1b = Vector256.FusedMultiplyAdd(x, b, r1b);
            x = Vector256.Create(left[2]);
            r2a = Vector256.FusedMultiplyAdd(x, a, r2a);
            r2b = Vector256.FusedMultiplyAdd(x, b, r2b);
            x = Vector256.Create(left[3]);
            r3a = Vector256.FusedMultiplyAdd(x, a, r3a);
            r3b = Vector256.FusedMultiplyAdd(x, b, r3b);
            x = Vector256.Create(left[4]);
            r4a = Vector256.FusedMultiplyAdd(x, a, r4a);
            r4b = Vector256.FusedMultiplyAdd(x, b, r4b);
            x = Vector256.Create(left[5]);
            r5a = Vector256.FusedMultiplyAdd(x, a, r5a);
            r5b = Vector256.FusedMultiplyAdd(x, b, r5b);
            left += Rows;
            right += Columns;
        }

        Store(tile, r0a, r0b, add);
        Store(tile += stride, r1a, r1b, add);
        Store(tile += stride, r2a, r2b, add);
        Store(tile += stride, r3a, r3b, add);
        Store(tile += stride, r4a, r4b, add);
        Store(tile += stride, r5a, r5b, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* row, Vector256<float> a, Vector256<float> b, bool add)
    {
        if (add)
        {
            a += Vector256.Load(row);
            b += Vector256.Load(row + 8);
        }

        a.Store(row);
        b.Store(row + 8);
    }
}

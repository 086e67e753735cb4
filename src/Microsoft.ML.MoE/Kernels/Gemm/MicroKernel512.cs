// The innermost loop of the managed matrix product, with AVX-512: a tile of 12 × 32 float32 sums in 24 vector registers of 512 bits.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>
/// Multiplies a packed left panel (depth × 12) with a packed right panel (depth × 32): <see cref="MicroKernel.Multiply"/> with AVX-512.
/// </summary>
internal static unsafe class MicroKernel512
{
    public const int Rows = 12;
    public const int Columns = 32;

    // Optimised at once: it runs too long per call and too rarely for tiering to notice.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Multiply(int depth, float* left, float* right, float* tile, nint stride, bool add)
    {
        Vector512<float> r0a = default,
            r0b = default,
            r1a = default,
            r1b = default,
            r2a = default,
            r2b = default,
            r3a = default,
            r3b = default;
        Vector512<float> r4a = default,
            r4b = default,
            r5a = default,
            r5b = default,
            r6a = default,
            r6b = default,
            r7a = default,
            r7b = default;
        Vector512<float> r8a = default,
            r8b = default,
            r9a = default,
            r9b = default,
            r10a = default,
            r10b = default,
            r11a = default,
            r11b = default;

        for (var k = 0; k < depth; k++)
        {
            var a = Vector512.Load(right);
            var b = Vector512.Load(right + 16);
            var x = Vector512.Create(left[0]);
            r0a = Vector512.FusedMultiplyAdd(x, a, r0a);
            r0b = Vector512.FusedMultiplyAdd(x, b, r0b);
            x = Vector512.Create(left[1]);
            r1a = Vector512.FusedMultiplyAdd(x, a, r1a);
            r1b = Vector512.FusedMultiplyAdd(x, b, r1b);
            x = Vector512.Create(left[2]);
            r2a = Vector512.FusedMultiplyAdd(x, a, r2a);
            r2b = Vector512.FusedMultiplyAdd(x, b, r2b);
            x = Vector512.Create(left[3]);
            r3a = Vector512.FusedMultiplyAdd(x, a, r3a);
            r3b = Vector512.FusedMultiplyAdd(x, b, r3b);
            x = Vector512.Create(left[4]);
            r4a = Vector512.FusedMultiplyAdd(x, a, r4a);
            r4b = Vector512.FusedMultiplyAdd(x, b, r4b);
            x = Vector512.Create(left[5]);
            r5a = Vector512.FusedMultiplyAdd(x, a, r5a);
            r5b = Vector512.FusedMultiplyAdd(x, b, r5b);
            x = Vector512.Create(left[6]);
            r6a = Vector512.FusedMultiplyAdd(x, a, r6a);
            r6b = Vector512.FusedMultiplyAdd(x, b, r6b);
            x = Vector512.Create(left[7]);
            r7a = Vector512.FusedMultiplyAdd(x, a, r7a);
            r7b = Vector512.FusedMultiplyAdd(x, b, r7b);
            x = Vector512.Create(left[8]);
            r8a = Vector512.FusedMultiplyAdd(x, a, r8a);
            r8b = Vector512.FusedMultiplyAdd(x, b, r8b);
            x = Vector512.Create(left[9]);
            r9a = Vector512.FusedMultiplyAdd(x, a, r9a);
            r9b = Vector512.FusedMultiplyAdd(x, b, r9b);
            x = Vector512.Create(left[10]);
            r10a = Vector512.FusedMultiplyAdd(x, a, r10a);
            r10b = Vector512.FusedMultiplyAdd(x, b, r10b);
            x = Vector512.Create(left[11]);
            r11a = Vector512.FusedMultiplyAdd(x, a, r11a);
            r11b = Vector512.FusedMultiplyAdd(x, b, r11b);
            left += Rows;
            right += Columns;
        }

        Store(tile, r0a, r0b, add);
        Store(tile += stride, r1a, r1b, add);
        Store(tile += stride, r2a, r2b, add);
        Store(tile += stride, r3a, r3b, add);
        Store(tile += stride, r4a, r4b, add);
        Store(tile += stride, r5a, r5b, add);
        Store(tile += stride, r6a, r6b, add);
        Store(tile += stride, r7a, r7b, add);
        Store(tile += stride, r8a, r8b, add);
        Store(tile += stride, r9a, r9b, add);
        Store(tile += stride, r10a, r10b, add);
        Store(tile += stride, r11a, r11b, add);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* row, Vector512<float> a, Vector512<float> b, bool add)
    {
        if (add)
        {
            a += Vector512.Load(row);
            b += Vector512.Load(row + 16);
        }

        a.Store(row);
        b.Store(row + 16);
    }
}

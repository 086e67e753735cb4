// Products of a few rows, which would not fill the micro-kernel's tile, with packed panels.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Microsoft.ML.MoE.Kernels.Gemm;

namespace Microsoft.ML.MoE.Inference;

/// <summary>
/// One row with four panels, or four rows with one panel: eight sums of vectors, as many as hide the time that one takes.
/// </summary>
internal static unsafe class RowKernel
{
    /// <summary>One row with four panels.</summary>
    /// <param name="depth">Terms.</param>
    /// <param name="row">The row.</param>
    /// <param name="p0">A panel.</param>
    /// <param name="p1">Another, or the same.</param>
    /// <param name="p2">Another, or the same.</param>
    /// <param name="p3">Another, or the same.</param>
    /// <param name="sums">Receives 4 · <see cref="MicroKernel.Columns"/> numbers.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void One(int depth, float* row, float* p0, float* p1, float* p2, float* p3, float* sums)
    {
        if (Avx512F.IsSupported)
            One512(depth, row, p0, p1, p2, p3, sums);
        else
            One256(depth, row, p0, p1, p2, p3, sums);
    }

    /// <summary>Four rows with one panel. With AVX-512 only.</summary>
    /// <param name="depth">Terms.</param>
    /// <param name="r0">A row.</param>
    /// <param name="r1">Another, or the same.</param>
    /// <param name="r2">Another, or the same.</param>
    /// <param name="r3">Another, or the same.</param>
    /// <param name="panel">The panel.</param>
    /// <param name="sums">Receives 4 × <see cref="MicroKernel.Columns"/> numbers.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Four(int depth, float* r0, float* r1, float* r2, float* r3, float* panel, float* sums)
    {
        Vector512<float> a0 = default, b0 = default, a1 = default, b1 = default, a2 = default, b2 = default, a3 = default, b3 = default;
        for (var k = 0; k < depth; k++, panel += MicroKernel512.Columns)
        {
            var a = Vector512.Load(panel);
            var b = Vector512.Load(panel + 16);
            var x = Vector512.Create(r0[k]);
            a0 = Vector512.FusedMultiplyAdd(x, a, a0);
            b0 = Vector512.FusedMultiplyAdd(x, b, b0);
            x = Vector512.Create(r1[k]);
            a1 = Vector512.FusedMultiplyAdd(x, a, a1);
            b1 = Vector512.FusedMultiplyAdd(x, b, b1);
            x = Vector512.Create(r2[k]);
            a2 = Vector512.FusedMultiplyAdd(x, a, a2);
            b2 = Vector512.FusedMultiplyAdd(x, b, b2);
            x = Vector512.Create(r3[k]);
            a3 = Vector512.FusedMultiplyAdd(x, a, a3);
            b3 = Vector512.FusedMultiplyAdd(x, b, b3);
        }
        a0.Store(sums);
        b0.Store(sums + 16);
        a1.Store(sums + 32);
        b1.Store(sums + 48);
        a2.Store(sums + 64);
        b2.Store(sums + 80);
        a3.Store(sums + 96);
        b3.Store(sums + 112);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One512(int depth, float* row, float* p0, float* p1, float* p2, float* p3, float* sums)
    {
        Vector512<float> a0 = default, b0 = default, a1 = default, b1 = default, a2 = default, b2 = default, a3 = default, b3 = default;
        for (nint k = 0, i = 0; k < depth; k++, i += MicroKernel512.Columns)
        {
            var x = Vector512.Create(row[k]);
            a0 = Vector512.FusedMultiplyAdd(x, Vector512.Load(p0 + i), a0);
            b0 = Vector512.FusedMultiplyAdd(x, Vector512.Load(p0 + i + 16), b0);
            a1 = Vector512.FusedMultiplyAdd(x, Vector512.Load(p1 + i), a1);
            b1 = Vector512.FusedMultiplyAdd(x, Vector512.Load(p1 + i + 16), b1);
            a2 = Vector512.FusedMultiplyAdd(x, Vector512.Load(p2 + i), a2);
            b2 = Vector512.FusedMultiplyAdd(x, Vector512.Load(p2 + i + 16), b2);
            a3 = Vector512.FusedMultiplyAdd(x, Vector512.Load(p3 + i), a3);
            b3 = Vector512.FusedMultiplyAdd(x, Vector512.Load(p3 + i + 16), b3);
        }
        a0.Store(sums);
        b0.Store(sums + 16);
        a1.Store(sums + 32);
        b1.Store(sums + 48);
        a2.Store(sums + 64);
        b2.Store(sums + 80);
        a3.Store(sums + 96);
        b3.Store(sums + 112);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One256(int depth, float* row, float* p0, float* p1, float* p2, float* p3, float* sums)
    {
        Vector256<float> a0 = default, b0 = default, a1 = default, b1 = default, a2 = default, b2 = default, a3 = default, b3 = default;
        for (nint k = 0, i = 0; k < depth; k++, i += MicroKernel256.Columns)
        {
            var x = Vector256.Create(row[k]);
            a0 = Vector256.FusedMultiplyAdd(x, Vector256.Load(p0 + i), a0);
            b0 = Vector256.FusedMultiplyAdd(x, Vector256.Load(p0 + i + 8), b0);
            a1 = Vector256.FusedMultiplyAdd(x, Vector256.Load(p1 + i), a1);
            b1 = Vector256.FusedMultiplyAdd(x, Vector256.Load(p1 + i + 8), b1);
            a2 = Vector256.FusedMultiplyAdd(x, Vector256.Load(p2 + i), a2);
            b2 = Vector256.FusedMultiplyAdd(x, Vector256.Load(p2 + i + 8), b2);
            a3 = Vector256.FusedMultiplyAdd(x, Vector256.Load(p3 + i), a3);
            b3 = Vector256.FusedMultiplyAdd(x, Vector256.Load(p3 + i + 8), b3);
        }
        a0.Store(sums);
        b0.Store(sums + 8);
        a1.Store(sums + 16);
        b1.Store(sums + 24);
        a2.Store(sums + 32);
        b2.Store(sums + 40);
        a3.Store(sums + 48);
        b3.Store(sums + 56);
    }
}

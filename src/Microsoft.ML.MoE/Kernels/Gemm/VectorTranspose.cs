using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Transposes squares of 16 × 16 numbers in the registers of AVX-512.</summary>
internal static unsafe class VectorTranspose
{
    /// <summary>Numbers of a side.</summary>
    public const int Side = 16;

    /// <summary>
    /// Writes number k of row r to <c>target[k * stride + r]</c>, in the order of k: with a smaller stride, the next k overwrites what is
    /// beyond it.
    /// </summary>
    /// <param name="rows">The 16 rows.</param>
    /// <param name="from">The first number of each row.</param>
    /// <param name="target">Where the first numbers go.</param>
    /// <param name="stride">From one k to the next.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(float** rows, int from, float* target, nint stride)
    {
        Quarter(rows, from, out var a0, out var a1, out var a2, out var a3);
        Quarter(rows + 4, from, out var b0, out var b1, out var b2, out var b3);
        Quarter(rows + 8, from, out var c0, out var c1, out var c2, out var c3);
        Quarter(rows + 12, from, out var d0, out var d1, out var d2, out var d3);

        Join(a0, b0, c0, d0, out var k0, out var k4, out var k8, out var k12);
        Join(a1, b1, c1, d1, out var k1, out var k5, out var k9, out var k13);
        Join(a2, b2, c2, d2, out var k2, out var k6, out var k10, out var k14);
        Join(a3, b3, c3, d3, out var k3, out var k7, out var k11, out var k15);
        k0.Store(target);
        k1.Store(target += stride);
        k2.Store(target += stride);
        k3.Store(target += stride);
        k4.Store(target += stride);
        k5.Store(target += stride);
        k6.Store(target += stride);
        k7.Store(target += stride);
        k8.Store(target += stride);
        k9.Store(target += stride);
        k10.Store(target += stride);
        k11.Store(target += stride);
        k12.Store(target += stride);
        k13.Store(target += stride);
        k14.Store(target += stride);
        k15.Store(target + stride);
    }

    // Of four rows: numbers j, 4 + j, 8 + j, 12 + j of all four in the lanes of vector j.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Quarter(
        float** rows, int from, out Vector512<float> j0, out Vector512<float> j1, out Vector512<float> j2, out Vector512<float> j3)
    {
        var (a, b, c, d) = (
            Vector512.Load(rows[0] + from), Vector512.Load(rows[1] + from), Vector512.Load(rows[2] + from), Vector512.Load(rows[3] + from));
        var (ab0, ab1) = (Avx512F.UnpackLow(a, b).AsDouble(), Avx512F.UnpackHigh(a, b).AsDouble());
        var (cd0, cd1) = (Avx512F.UnpackLow(c, d).AsDouble(), Avx512F.UnpackHigh(c, d).AsDouble());
        j0 = Avx512F.UnpackLow(ab0, cd0).AsSingle();
        j1 = Avx512F.UnpackHigh(ab0, cd0).AsSingle();
        j2 = Avx512F.UnpackLow(ab1, cd1).AsSingle();
        j3 = Avx512F.UnpackHigh(ab1, cd1).AsSingle();
    }

    // Puts lane i of four vectors together.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Join(
        Vector512<float> a, Vector512<float> b, Vector512<float> c, Vector512<float> d,
        out Vector512<float> lane0, out Vector512<float> lane1, out Vector512<float> lane2, out Vector512<float> lane3)
    {
        const byte even = 0b10_00_10_00;
        const byte odd = 0b11_01_11_01;
        var (ab02, ab13) = (Avx512F.Shuffle4x128(a, b, even), Avx512F.Shuffle4x128(a, b, odd));
        var (cd02, cd13) = (Avx512F.Shuffle4x128(c, d, even), Avx512F.Shuffle4x128(c, d, odd));
        lane0 = Avx512F.Shuffle4x128(ab02, cd02, even);
        lane1 = Avx512F.Shuffle4x128(ab13, cd13, even);
        lane2 = Avx512F.Shuffle4x128(ab02, cd02, odd);
        lane3 = Avx512F.Shuffle4x128(ab13, cd13, odd);
    }
}

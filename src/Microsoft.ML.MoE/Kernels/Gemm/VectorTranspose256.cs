using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Transposes squares of 8 × 8 numbers in the registers of AVX.</summary>
internal static unsafe class VectorTranspose256
{
    /// <summary>Numbers of a side.</summary>
    public const int Side = 8;

    /// <inheritdoc cref="VectorTranspose.Run"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(float** rows, int from, float* target, nint stride)
    {
        Pairs(rows, from, out var a0, out var a1, out var a2, out var a3);
        Pairs(rows + 4, from, out var b0, out var b1, out var b2, out var b3);
        Avx.Permute2x128(a0, b0, 0x20).Store(target);
        Avx.Permute2x128(a1, b1, 0x20).Store(target += stride);
        Avx.Permute2x128(a2, b2, 0x20).Store(target += stride);
        Avx.Permute2x128(a3, b3, 0x20).Store(target += stride);
        Avx.Permute2x128(a0, b0, 0x31).Store(target += stride);
        Avx.Permute2x128(a1, b1, 0x31).Store(target += stride);
        Avx.Permute2x128(a2, b2, 0x31).Store(target += stride);
        Avx.Permute2x128(a3, b3, 0x31).Store(target + stride);
    }

    // Of four rows: numbers j and 4 + j of all four in the lanes of vector j.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Pairs(
        float** rows, int from, out Vector256<float> j0, out Vector256<float> j1, out Vector256<float> j2, out Vector256<float> j3)
    {
        var (a, b, c, d) = (
            Vector256.Load(rows[0] + from), Vector256.Load(rows[1] + from), Vector256.Load(rows[2] + from), Vector256.Load(rows[3] + from));
        var (ab0, ab1) = (Avx.UnpackLow(a, b).AsDouble(), Avx.UnpackHigh(a, b).AsDouble());
        var (cd0, cd1) = (Avx.UnpackLow(c, d).AsDouble(), Avx.UnpackHigh(c, d).AsDouble());
        j0 = Avx.UnpackLow(ab0, cd0).AsSingle();
        j1 = Avx.UnpackHigh(ab0, cd0).AsSingle();
        j2 = Avx.UnpackLow(ab1, cd1).AsSingle();
        j3 = Avx.UnpackHigh(ab1, cd1).AsSingle();
    }
}

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Benchmarks.Roofline;

/// <summary>
/// Multiply-adds of float32 that touch registers only: twelve sums that do not wait for each other, which is more than it takes where a
/// multiply-add has a latency of four cycles and two are begun in each, and few enough for the 16 registers of AVX2.
/// </summary>
internal static class MultiplyAddLoop
{
    private const int Sums = 12;

    /// <summary>Floating-point operations of a turn with 256-bit vectors, a multiply-add counted as two.</summary>
    public const int FlopsPerTurn256 = 2 * Sums * 8;

    /// <summary>The same with 512-bit vectors.</summary>
    public const int FlopsPerTurn512 = 2 * Sums * 16;

    /// <summary>The same with 128-bit vectors.</summary>
    public const int FlopsPerTurn128 = 2 * Sums * 4;

    // The bodies below are alike, because a generic one would leave the registers to the compiler's mood.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Run256(long turns)
    {
        var (x, y) = (Vector256.Create(1e-3f), Vector256.Create(0.5f));
        Vector256<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (var turn = 0L; turn < turns; turn++)
        {
            a = Vector256.FusedMultiplyAdd(x, y, a);
            b = Vector256.FusedMultiplyAdd(x, y, b);
            c = Vector256.FusedMultiplyAdd(x, y, c);
            d = Vector256.FusedMultiplyAdd(x, y, d);
            e = Vector256.FusedMultiplyAdd(x, y, e);
            f = Vector256.FusedMultiplyAdd(x, y, f);
            g = Vector256.FusedMultiplyAdd(x, y, g);
            h = Vector256.FusedMultiplyAdd(x, y, h);
            i = Vector256.FusedMultiplyAdd(x, y, i);
            j = Vector256.FusedMultiplyAdd(x, y, j);
            k = Vector256.FusedMultiplyAdd(x, y, k);
            l = Vector256.FusedMultiplyAdd(x, y, l);
        }

        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    /// <inheritdoc cref="Run256"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Run512(long turns)
    {
        var (x, y) = (Vector512.Create(1e-3f), Vector512.Create(0.5f));
        Vector512<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (var turn = 0L; turn < turns; turn++)
        {
            a = Vector512.FusedMultiplyAdd(x, y, a);
            b = Vector512.FusedMultiplyAdd(x, y, b);
            c = Vector512.FusedMultiplyAdd(x, y, c);
            d = Vector512.FusedMultiplyAdd(x, y, d);
            e = Vector512.FusedMultiplyAdd(x, y, e);
            f = Vector512.FusedMultiplyAdd(x, y, f);
            g = Vector512.FusedMultiplyAdd(x, y, g);
            h = Vector512.FusedMultiplyAdd(x, y, h);
            i = Vector512.FusedMultiplyAdd(x, y, i);
            j = Vector512.FusedMultiplyAdd(x, y, j);
            k = Vector512.FusedMultiplyAdd(x, y, k);
            l = Vector512.FusedMultiplyAdd(x, y, l);
        }

        return Vector512.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }

    /// <inheritdoc cref="Run256"/>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Run128(long turns)
    {
        var (x, y) = (Vector128.Create(1e-3f), Vector128.Create(0.5f));
        Vector128<float> a = x, b = x, c = x, d = x, e = x, f = x, g = x, h = x, i = x, j = x, k = x, l = x;
        for (var turn = 0L; turn < turns; turn++)
        {
            a = Vector128.FusedMultiplyAdd(x, y, a);
            b = Vector128.FusedMultiplyAdd(x, y, b);
            c = Vector128.FusedMultiplyAdd(x, y, c);
            d = Vector128.FusedMultiplyAdd(x, y, d);
            e = Vector128.FusedMultiplyAdd(x, y, e);
            f = Vector128.FusedMultiplyAdd(x, y, f);
            g = Vector128.FusedMultiplyAdd(x, y, g);
            h = Vector128.FusedMultiplyAdd(x, y, h);
            i = Vector128.FusedMultiplyAdd(x, y, i);
            j = Vector128.FusedMultiplyAdd(x, y, j);
            k = Vector128.FusedMultiplyAdd(x, y, k);
            l = Vector128.FusedMultiplyAdd(x, y, l);
        }

        return Vector128.Sum(a + b + c + d + e + f + g + h + i + j + k + l);
    }
}

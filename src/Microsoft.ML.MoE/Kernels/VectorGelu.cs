// GELU and its derivative for sixteen numbers at a time (two vectors of eight where there is no AVX-512, at the same rate a number as if
// written so): gelu(x) = x·Φ(x), gelu'(x) = Φ(x) + x·φ(x), with Φ and φ the normal distribution and density.
//
// Hendrycks and Gimpel, arXiv 1606.08415, in its exact form. The tail Φ(-a) = φ-like factor exp(-a²/2) times t·P(t), t = 1/(1 + c·a/√2),
// the form of Abramowitz and Stegun 7.1.26, with a polynomial of degree 9 fitted at Chebyshev's points: relative error below 1.5e-7 for
// every a ≥ 0.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>GELU on vectors of float32.</summary>
internal static class VectorGelu
{
    /// <summary>x·Φ(x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Value(Vector512<float> x) => x * Distribution(x, Density(x));

    /// <summary>Φ(x) + x·φ(x).</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Derivative(Vector512<float> x)
    {
        var bell = Density(x);
        return Vector512.FusedMultiplyAdd(x * Vector512.Create(0.3989422804f), bell, Distribution(x, bell));
    }

    /// <summary>Both at once, which takes hardly longer than one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<float> Value, Vector512<float> Derivative) ValueAndDerivative(Vector512<float> x)
    {
        var bell = Density(x);
        var distribution = Distribution(x, bell);
        return (x * distribution, Vector512.FusedMultiplyAdd(x * Vector512.Create(0.3989422804f), bell, distribution));
    }

    // exp(-x²/2): 2 to the power of an integer and a fraction in [-1/2, 1/2], the fraction's part by its Taylor polynomial of degree 7
    // (error below 1e-8).
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Density(Vector512<float> x)
    {
        // Below, float32 has no number.
        var power = Vector512.Max(x * x * Vector512.Create(-0.5f * 1.4426950409f), Vector512.Create(-149f));
        var integer = Vector512.Round(power);
        var fraction = power - integer;
        var y = Vector512.Create(1.525273e-5f);
        y = Vector512.FusedMultiplyAdd(y, fraction, Vector512.Create(1.540353e-4f));
        y = Vector512.FusedMultiplyAdd(y, fraction, Vector512.Create(1.3333558e-3f));
        y = Vector512.FusedMultiplyAdd(y, fraction, Vector512.Create(9.6181291e-3f));
        y = Vector512.FusedMultiplyAdd(y, fraction, Vector512.Create(5.5504109e-2f));
        y = Vector512.FusedMultiplyAdd(y, fraction, Vector512.Create(0.24022651f));
        y = Vector512.FusedMultiplyAdd(y, fraction, Vector512.Create(0.69314718f));
        y = Vector512.FusedMultiplyAdd(y, fraction, Vector512<float>.One);
        return ScaleByPowerOfTwo(y, integer);
    }

    // number · 2^exponent, for exponents from -149 to 0; without AVX-512, whose instruction gives subnormal numbers too, 0 below 2^-126.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> ScaleByPowerOfTwo(Vector512<float> number, Vector512<float> exponent)
    {
        if (Avx512F.IsSupported)
            return Avx512F.Scale(number, exponent);
        var biased = Vector512.Max(Vector512.ConvertToInt32(exponent) + Vector512.Create(127), Vector512<int>.Zero);
        return number * Vector512.ShiftLeft(biased, 23).AsSingle();
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Distribution(Vector512<float> x, Vector512<float> bell)
    {
        var t =
            Vector512<float>.One
            / Vector512.FusedMultiplyAdd(Vector512.Abs(x), Vector512.Create(0.45f * 0.70710678f), Vector512<float>.One);
        var p = Vector512.Create(-0.0215126812f);
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.0989918239f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(-0.157085382f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.078034398f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(-0.0151918785f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.0613619231f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.087356389f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.114162134f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.126940592f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.126942666f));
        var tail = p * t * bell;
        return Vector512.ConditionalSelect(Vector512.GreaterThan(x, Vector512<float>.Zero), Vector512<float>.One - tail, tail);
    }
}

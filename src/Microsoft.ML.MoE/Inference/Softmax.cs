using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Microsoft.ML.MoE.Kernels;

namespace Microsoft.ML.MoE.Inference;

/// <summary>Softmax of rows in memory.</summary>
internal static unsafe class Softmax
{
    /// <summary>exp(scale · x − the largest of these) in place of x.</summary>
    /// <param name="x">The numbers.</param>
    /// <param name="count">How many, at least 1.</param>
    /// <param name="scale">What they are multiplied by, above 0.</param>
    /// <returns>The sum of the results: over it they are the softmax.</returns>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Exponentiate(float* x, int count, float scale)
    {
        var most = Most(x, count);
        var (shift, scales, sums) = (Vector512.Create(most * scale), Vector512.Create(scale), Vector512<float>.Zero);
        var i = 0;
        for (; i + VectorMemory.Count <= count; i += VectorMemory.Count)
        {
            var values = Exponential(Vector512.FusedMultiplyAdd(Vector512.Load(x + i), scales, -shift));
            values.Store(x + i);
            sums += values;
        }
        if (i < count)
        {
            var values = Exponential(Vector512.FusedMultiplyAdd(VectorMemory.Load(x + i, count - i), scales, -shift));
            VectorMemory.Store(values, x + i, count - i);
            values = Vector512.ConditionalSelect(
                Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count - i)).AsSingle(), values, Vector512<float>.Zero);
            sums += values;
        }
        return Vector512.Sum(sums);
    }

    /// <summary>The softmax in place of the numbers.</summary>
    /// <inheritdoc cref="Exponentiate"/>
    public static void Apply(float* x, int count)
    {
        var sum = Exponentiate(x, count, 1);
        for (var i = 0; i < count; i++)
            x[i] /= sum;
    }

    /// <summary>The largest number; NaN where there is one.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Most(float* x, int count)
    {
        var most = Vector512.Create(x[0]);
        var i = 0;
        for (; i + VectorMemory.Count <= count; i += VectorMemory.Count)
            most = Vector512.Max(most, Vector512.Load(x + i));
        var result = most[0];
        for (var lane = 1; lane < VectorMemory.Count; lane++)
            result = MathF.Max(result, most[lane]);
        for (; i < count; i++)
            result = MathF.Max(result, x[i]);
        return result;
    }

    // exp(x) for x up to 0: 2 to the power of an integer and a fraction in [-1/2, 1/2], by its Taylor polynomial of degree 7 (error below
    // 1e-8). The product with log₂e in two parts, which keeps the error of large numbers small.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Exponential(Vector512<float> x)
    {
        var power = Vector512.Max(x * Vector512.Create(1.44269504f), Vector512.Create(-149f));
        var integer = Vector512.Round(power);
        // The fraction from x itself: x·log₂e is rounded.
        var bounded = Vector512.Max(x, Vector512.Create(-104f));
        var rest = Vector512.FusedMultiplyAdd(integer, Vector512.Create(-0.693359375f), bounded);
        rest = Vector512.FusedMultiplyAdd(integer, Vector512.Create(2.12194440e-4f), rest);
        var y = Vector512.Create(1.9841270e-4f);
        y = Vector512.FusedMultiplyAdd(y, rest, Vector512.Create(1.3888889e-3f));
        y = Vector512.FusedMultiplyAdd(y, rest, Vector512.Create(8.3333333e-3f));
        y = Vector512.FusedMultiplyAdd(y, rest, Vector512.Create(4.1666667e-2f));
        y = Vector512.FusedMultiplyAdd(y, rest, Vector512.Create(0.16666667f));
        y = Vector512.FusedMultiplyAdd(y, rest, Vector512.Create(0.5f));
        y = Vector512.FusedMultiplyAdd(y, rest, Vector512<float>.One);
        y = Vector512.FusedMultiplyAdd(y, rest, Vector512<float>.One);
        if (Avx512F.IsSupported)
            return Avx512F.Scale(y, integer);
        var biased = Vector512.Max(Vector512.ConvertToInt32(integer) + Vector512.Create(127), Vector512<int>.Zero);
        return y * Vector512.ShiftLeft(biased, 23).AsSingle();
    }
}

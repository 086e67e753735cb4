// Axes: T = rows, D = width.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using TorchSharp;

namespace Microsoft.ML.MoE.Inference;

/// <summary>Layer normalisation: y = (x − E[x]) / √(Var[x] + ε) · γ + β.</summary>
/// <param name="gamma_D">float32 (D), on the CPU.</param>
/// <param name="beta_D">float32 (D), on the CPU.</param>
/// <param name="epsilon">Added to the variance.</param>
internal sealed unsafe class NormStep(torch.Tensor gamma_D, torch.Tensor beta_D, double epsilon)
{
    private readonly PinnedFloats gamma = Numbers.Of(gamma_D);
    private readonly PinnedFloats beta = Numbers.Of(beta_D);
    private readonly int width = (int)gamma_D.shape[0];

    /// <summary>Normalises rows that lie one after the other.</summary>
    /// <param name="x">(T, D).</param>
    /// <param name="rows">T.</param>
    /// <param name="y">Receives them, (T, D); may be x.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Apply(float* x, int rows, float* y)
    {
        float* scale = gamma.Address, shift = beta.Address;
        for (var row = 0; row < rows; row++, x += width, y += width)
        {
            var mean = Sum(x) / width;
            var variance = SumOfSquares(x, mean) / width;
            // Where the squares are beyond float32, so is what the row means: NaN, not β.
            var deviation = float.IsInfinity(variance) ? float.NaN : (float)(1 / Math.Sqrt(variance + epsilon));
            var i = 0;
            var (means, deviations) = (Vector512.Create(mean), Vector512.Create(deviation));
            for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
                Vector512.FusedMultiplyAdd(
                    (Vector512.Load(x + i) - means) * deviations, Vector512.Load(scale + i), Vector512.Load(shift + i)).Store(y + i);
            for (; i < width; i++)
                y[i] = MathF.FusedMultiplyAdd((x[i] - mean) * deviation, scale[i], shift[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float Sum(float* x)
    {
        var sums = Vector512<float>.Zero;
        var i = 0;
        for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
            sums += Vector512.Load(x + i);
        var sum = Vector512.Sum(sums);
        for (; i < width; i++)
            sum += x[i];
        return sum;
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private float SumOfSquares(float* x, float mean)
    {
        var (sums, means) = (Vector512<float>.Zero, Vector512.Create(mean));
        var i = 0;
        for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
        {
            var centred = Vector512.Load(x + i) - means;
            sums = Vector512.FusedMultiplyAdd(centred, centred, sums);
        }
        var sum = Vector512.Sum(sums);
        for (; i < width; i++)
            sum += (x[i] - mean) * (x[i] - mean);
        return sum;
    }
}

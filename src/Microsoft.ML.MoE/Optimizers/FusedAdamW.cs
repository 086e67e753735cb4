// AdamW, arXiv 1711.05101: Adam with weight decay that acts on the weights themselves and not through the gradient.
//
//   m <- β1 m + (1 - β1) g        v <- β2 v + (1 - β2) g²
//   w <- (1 - η λ) w - η (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + ε)

using Microsoft.ML.MoE.Kernels;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// AdamW through libtorch's fused kernel: one pass over weights, gradients and moments, some fifty times as fast as an operator at a time.
/// Parameters without a gradient are left alone and keep their own step count. Owns its moments: dispose it. Nothing in a step waits for
/// the device.
/// </summary>
internal sealed class FusedAdamW : AdamOptimizer
{
    /// <summary>Makes an optimizer with zero moments.</summary>
    /// <param name="groups">What is trained; each parameter once.</param>
    /// <param name="beta1">Decay β1 of the first moment, 0 to below 1.</param>
    /// <param name="beta2">Decay β2 of the second moment, 0 to below 1.</param>
    /// <param name="epsilon">ε, added to the root of the second moment.</param>
    /// <exception cref="ArgumentException">An option is out of range, or a parameter or a name appears twice.</exception>
    public FusedAdamW(IEnumerable<ParameterGroup> groups, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
        : base(groups, beta1, beta2, epsilon) { }

    private protected override void Update(
        ParameterGroup group,
        ParameterStates.ActiveParameters active,
        double learningRate,
        Tensor? gradientDivisor,
        Tensor? skip
    ) =>
        TorchScripts.FusedAdamW(
            new AdamTensors(active.Parameters, active.Gradients, active.Moments(0), active.Moments(1), active.Steps),
            new AdamStep(learningRate, Beta1, Beta2, group.WeightDecay, Epsilon),
            gradientDivisor,
            skip);
}

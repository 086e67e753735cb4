// Stochastic gradient descent with momentum, as Sutskever et al. (ICML 2013) and PyTorch write it.
//
//   d = g + λ w        b <- μ b + d
//   w <- w - η b, or with Nesterov's look-ahead        w <- w - η (d + μ b)

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Runtime;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// Gradient descent with momentum through libtorch's fused kernel. Weight decay is part of the gradient here, as everywhere with this
/// optimizer: with momentum μ a weight shrinks by ηλ / (1 − μ) a step in the long run. Parameters without a gradient are left alone. Owns
/// its momenta: dispose it. Nothing in a step waits for the device.
/// </summary>
internal sealed class FusedSgd : StatefulOptimizer
{
    private readonly double momentum;
    private readonly bool nesterov;

    /// <summary>Makes an optimizer with zero momenta.</summary>
    /// <param name="groups">What is trained; each parameter once.</param>
    /// <param name="momentum">Momentum μ, 0 to below 1; 0 is plain descent.</param>
    /// <param name="nesterov">Whether a step looks ahead along the momentum; needs momentum.</param>
    /// <exception cref="ArgumentException">An option is out of range, or a parameter or a name appears twice.</exception>
    public FusedSgd(IEnumerable<ParameterGroup> groups, double momentum = 0.9, bool nesterov = false)
        : base(CreateStates(groups, momentum, nesterov)) => (this.momentum, this.nesterov) = (momentum, nesterov);

    private protected override void Update(
        ParameterGroup group,
        ParameterStates.ActiveParameters active,
        double learningRate,
        Tensor? gradientDivisor,
        Tensor? skip
    ) =>
        TorchScripts.FusedSgd(
            active.Parameters,
            active.Gradients,
            momentum > 0 ? active.Moments(0) : [],
            new SgdStep(learningRate, momentum, nesterov, group.WeightDecay),
            gradientDivisor,
            skip);

    private static ParameterStates CreateStates(IEnumerable<ParameterGroup> groups, double momentum, bool nesterov)
    {
        OptionChecks.AtLeastAndBelow(0, 1, momentum, nameof(momentum));
        if (nesterov && momentum == 0)
            throw new ArgumentException(
                $"{nameof(nesterov)} is true and {nameof(momentum)} is 0; without momentum there is nothing to look ahead along.");
        return new ParameterStates(groups, momentum > 0 ? ["momentum"] : [], countsSteps: false);
    }
}

// Stochastic gradient descent with momentum, as Sutskever et al. (ICML 2013) and PyTorch write it.
//
//   d = g + λ w        b <- μ b + d
//   w <- w - η b, or with Nesterov's look-ahead        w <- w - η (d + μ b)

using Microsoft.ML.MoE.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// Gradient descent with momentum through libtorch's fused kernel. Weight decay is part of the gradient here, as everywhere with this optimizer: with momentum μ a weight shrinks by
/// ηλ / (1 − μ) a step in the long run. Parameters without a gradient are left alone. Owns its momenta: dispose it. Nothing in a step waits for the device.
/// </summary>
public sealed class FusedSgd : IOptimizer
{
    private readonly ParameterStates states;
    private readonly double momentum;
    private readonly bool nesterov;

    /// <summary>Makes an optimizer with zero momenta.</summary>
    /// <param name="groups">What is trained; each parameter once.</param>
    /// <param name="momentum">Momentum μ, 0 to below 1; 0 is plain descent.</param>
    /// <param name="nesterov">Whether a step looks ahead along the momentum; needs momentum.</param>
    /// <exception cref="ArgumentException">An option is out of range, or a parameter or a name appears twice.</exception>
    public FusedSgd(IEnumerable<ParameterGroup> groups, double momentum = 0.9, bool nesterov = false)
    {
        OptionChecks.AtLeastAndBelow(0, 1, momentum, nameof(momentum));
        if (nesterov && momentum == 0)
            throw new ArgumentException($"{nameof(nesterov)} is true and {nameof(momentum)} is 0; without momentum there is nothing to look ahead along.");
        states = new ParameterStates(groups, momentum > 0 ? ["momentum"] : [], countsSteps: false);
        this.momentum = momentum;
        this.nesterov = nesterov;
    }

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => states.Parameters;

    /// <summary>What a checkpoint keeps: for each parameter <c>NAME.momentum</c>; nothing without momentum.</summary>
    public IReadOnlyDictionary<string, Tensor> State => states.Tensors;

    /// <inheritdoc/>
    public void Restore(IReadOnlyDictionary<string, Tensor> state) => NamedTensors.Copy(State, state);

    /// <inheritdoc/>
    public Tensor GradientNorm() => GradientClipping.Norm(Parameters);

    /// <inheritdoc/>
    public void Step(double learningRate, Tensor? gradientDivisor = null, Tensor? skip = null)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (group, active) in states.Active())
        {
            TorchScripts.FusedSgd(
                active.Parameters, active.Gradients, momentum > 0 ? active.Moments(0) : [], learningRate * group.LearningRateScale, momentum, nesterov, group.WeightDecay, gradientDivisor, skip);
        }
    }

    /// <inheritdoc/>
    public void ZeroGrad() => states.ZeroGrad();

    /// <summary>Releases the momenta; the parameters stay.</summary>
    public void Dispose() => states.Dispose();
}

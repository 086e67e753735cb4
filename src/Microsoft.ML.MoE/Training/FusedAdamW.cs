// AdamW, arXiv 1711.05101: Adam with weight decay that acts on the weights themselves and not through the gradient.
//
//   m <- β1 m + (1 - β1) g        v <- β2 v + (1 - β2) g²
//   w <- (1 - η λ) w - η (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + ε)

using Microsoft.ML.MoE.Kernels;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// AdamW through libtorch's fused kernel: one pass over weights, gradients and moments, some fifty times as fast as an operator at a time. Parameters without a gradient are
/// left alone and keep their own step count. Owns its moments: dispose it. Nothing in a step waits for the device.
/// </summary>
public sealed class FusedAdamW : IOptimizer
{
    private readonly ParameterStates states;
    private readonly double beta1;
    private readonly double beta2;
    private readonly double epsilon;

    /// <summary>Makes an optimizer with zero moments.</summary>
    /// <param name="groups">What is trained; each parameter once.</param>
    /// <param name="beta1">Decay β1 of the first moment, 0 to below 1.</param>
    /// <param name="beta2">Decay β2 of the second moment, 0 to below 1.</param>
    /// <param name="epsilon">ε, added to the root of the second moment.</param>
    /// <exception cref="ArgumentException">An option is out of range, or a parameter or a name appears twice.</exception>
    public FusedAdamW(IEnumerable<ParameterGroup> groups, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-8)
    {
        OptionChecks.AtLeastAndBelow(0, 1, beta1, nameof(beta1));
        OptionChecks.AtLeastAndBelow(0, 1, beta2, nameof(beta2));
        OptionChecks.AtLeast(0, epsilon, nameof(epsilon));
        states = new ParameterStates(groups, ["first_moment", "second_moment"], countsSteps: true);
        this.beta1 = beta1;
        this.beta2 = beta2;
        this.epsilon = epsilon;
    }

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => states.Parameters;

    /// <summary>
    /// What a checkpoint keeps: for each parameter its moments <c>NAME.first_moment</c> and <c>NAME.second_moment</c> and the number of updates it has had, <c>NAME.step</c>
    /// (a float32 scalar).
    /// </summary>
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
            TorchScripts.FusedAdamW(
                active.Parameters, active.Gradients, active.Moments(0), active.Moments(1), active.Steps,
                learningRate * group.LearningRateScale, beta1, beta2, group.WeightDecay, epsilon, gradientDivisor, skip);
        }
    }

    /// <inheritdoc/>
    public void ZeroGrad() => states.ZeroGrad();

    /// <summary>Releases the moments; the parameters stay.</summary>
    public void Dispose() => states.Dispose();
}

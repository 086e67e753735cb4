// LAMB, arXiv 1904.00962, algorithm 2: AdamW's update, scaled for each tensor to the norm of its weights, which keeps large batches at high rates from tearing thin layers apart.
//
//   m <- β1 m + (1 - β1) g        v <- β2 v + (1 - β2) g²
//   u = (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + ε) + λ w
//   w <- w - η (‖w‖ / ‖u‖) u        with 1 in place of the ratio where either norm is 0

using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// LAMB. Groups with <see cref="ParameterGroup.TrustRatio"/> false (biases and norms, see <see cref="ParameterGroup.ForModule(nn.Module, double)"/>) have no ratio: theirs is Adam's update. The gradient of a
/// parameter that is used several times is the sum over its uses, as autograd gives it: the ratio makes up for its size. Parameters without a gradient are left alone and keep
/// their own step count. Owns its moments: dispose it. Nothing in a step waits for the device.
/// </summary>
public sealed class Lamb : IOptimizer
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
    public Lamb(IEnumerable<ParameterGroup> groups, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-6)
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

    /// <inheritdoc cref="FusedAdamW.State"/>
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
            var (parameters, gradients, first, second, steps) = (active.Parameters, active.Gradients, active.Moments(0), active.Moments(1), active.Steps);
            var skipped = skip ?? zeros([], ScalarType.Float32, parameters[0].device);

            // All at once saves launches on an accelerator; one by one stays in the cache of a CPU.
            int count = parameters.Length, chunk = parameters[0].device_type == DeviceType.CPU ? 1 : count;
            for (int from = 0; from < count; from += chunk)
            {
                var part = from..(from + chunk);
                TorchScripts.Lamb(
                    parameters[part], gradients[part], first[part], second[part], steps[part],
                    learningRate * group.LearningRateScale, beta1, beta2, group.WeightDecay, epsilon, group.TrustRatio, gradientDivisor, skipped);
            }
        }
    }

    /// <inheritdoc/>
    public void ZeroGrad() => states.ZeroGrad();

    /// <summary>Releases the moments; the parameters stay.</summary>
    public void Dispose() => states.Dispose();
}

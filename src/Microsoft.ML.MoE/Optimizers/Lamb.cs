// LAMB, arXiv 1904.00962, algorithm 2: AdamW's update, scaled for each tensor to the norm of its weights, which keeps large batches at high
// rates from tearing thin layers apart.
//
//   m <- β1 m + (1 - β1) g        v <- β2 v + (1 - β2) g²
//   u = (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + ε) + λ w
//   w <- w - η (‖w‖ / ‖u‖) u        with 1 in place of the ratio where either norm is 0

using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>
/// LAMB. Groups with <see cref="ParameterGroup.TrustRatio"/> false (biases and norms, see
/// <see cref="ParameterGroup.ForModule(nn.Module, double)"/>) have no ratio: theirs is Adam's update. The gradient of a parameter that is
/// used several times is the sum over its uses, as autograd gives it: the ratio makes up for its size. Parameters without a gradient are
/// left alone and keep their own step count. Owns its moments: dispose it. Nothing in a step waits for the device.
/// </summary>
internal sealed class Lamb : AdamOptimizer
{
    /// <inheritdoc cref="FusedAdamW(IEnumerable{ParameterGroup}, double, double, double)"/>
    public Lamb(IEnumerable<ParameterGroup> groups, double beta1 = 0.9, double beta2 = 0.999, double epsilon = 1e-6)
        : base(groups, beta1, beta2, epsilon) { }

    private protected override void Update(
        ParameterGroup group, ParameterStates.ActiveParameters active, double learningRate, Tensor? gradientDivisor, Tensor? skip)
    {
        var (parameters, gradients, first, second, steps) = (
            active.Parameters, active.Gradients, active.Moments(0), active.Moments(1), active.Steps);
        var skipped = skip ?? zeros([], ScalarType.Float32, parameters[0].device);

        // All at once saves launches on an accelerator; one by one stays in the cache of a CPU.
        int count = parameters.Length, chunk = parameters[0].device_type == DeviceType.CPU ? 1 : count;
        for (int from = 0; from < count; from += chunk)
        {
            var part = from..(from + chunk);
            TorchScripts.Lamb(
                new AdamTensors(parameters[part], gradients[part], first[part], second[part], steps[part]),
                new AdamStep(learningRate, Beta1, Beta2, group.WeightDecay, Epsilon), group.TrustRatio, gradientDivisor, skipped);
        }
    }
}

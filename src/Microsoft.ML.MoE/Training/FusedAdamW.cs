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
    private readonly Slot[][] groups;
    private readonly double[] weightDecays;
    private readonly double[] rateScales;
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
        var list = groups.ToArray();
        ParameterGroup.Check(list);

        this.groups = list.Select(group => group.Parameters.Select(pair => new Slot(pair.Key, pair.Value)).ToArray()).ToArray();
        weightDecays = list.Select(group => group.WeightDecay).ToArray();
        rateScales = list.Select(group => group.LearningRateScale).ToArray();
        this.beta1 = beta1;
        this.beta2 = beta2;
        this.epsilon = epsilon;
    }

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => groups.SelectMany(group => group).Select(slot => slot.Parameter);

    /// <summary>
    /// What a checkpoint keeps: for each parameter its moments <c>NAME.first_moment</c> and <c>NAME.second_moment</c> and the number of updates it has had, <c>NAME.step</c>
    /// (a float32 scalar).
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> State => groups.SelectMany(group => group).SelectMany(slot => slot.State).ToDictionary();

    /// <inheritdoc/>
    public void Restore(IReadOnlyDictionary<string, Tensor> state) => NamedTensors.Copy(State, state);

    /// <inheritdoc/>
    public Tensor GradientNorm() => GradientClipping.Norm(Parameters);

    /// <inheritdoc/>
    public void Step(double learningRate, Tensor? gradientDivisor = null, Tensor? skip = null)
    {
        using var _ = no_grad();
        for (int i = 0; i < groups.Length; i++)
        {
            using var scope = NewDisposeScope();
            var active = new List<Slot>(groups[i].Length);
            var gradients = new List<Tensor>(groups[i].Length);
            foreach (var slot in groups[i])
            {
                if (slot.Parameter.grad is not { } gradient)
                    continue;

                // The kernel walks raw memory: gradient and moments must lie like the parameter. Autograd's own gradients do.
                active.Add(slot);
                gradients.Add(gradient.stride().AsSpan().SequenceEqual(slot.Strides) ? gradient : empty_like(slot.Parameter).copy_(gradient));
            }

            if (active.Count == 0)
                continue;
            TorchScripts.FusedAdamW(
                active.Select(slot => (Tensor)slot.Parameter).ToArray(), gradients.ToArray(),
                active.Select(slot => slot.FirstMoment).ToArray(), active.Select(slot => slot.SecondMoment).ToArray(), active.Select(slot => slot.Step).ToArray(),
                learningRate * rateScales[i], beta1, beta2, weightDecays[i], epsilon, gradientDivisor, skip);
        }
    }

    /// <inheritdoc/>
    public void ZeroGrad()
    {
        foreach (var parameter in Parameters)
            parameter.grad = null;
    }

    /// <summary>Releases the moments; the parameters stay.</summary>
    public void Dispose()
    {
        foreach (var slot in groups.SelectMany(group => group))
            slot.Dispose();
    }

    private sealed class Slot : IDisposable
    {
        public Slot(string name, Parameter parameter)
        {
            using var _ = no_grad();
            Name = name;
            Parameter = parameter;
            Strides = parameter.stride();
            FirstMoment = zeros_like(parameter).DetachFromDisposeScope();
            SecondMoment = zeros_like(parameter).DetachFromDisposeScope();
            Step = zeros([], ScalarType.Float32, parameter.device).DetachFromDisposeScope();
        }

        public string Name { get; }

        public Parameter Parameter { get; }

        public long[] Strides { get; }

        public Tensor FirstMoment { get; }

        public Tensor SecondMoment { get; }

        public Tensor Step { get; }

        public IEnumerable<KeyValuePair<string, Tensor>> State =>
            [new($"{Name}.first_moment", FirstMoment), new($"{Name}.second_moment", SecondMoment), new($"{Name}.step", Step)];

        public void Dispose()
        {
            FirstMoment.Dispose();
            SecondMoment.Dispose();
            Step.Dispose();
        }
    }
}

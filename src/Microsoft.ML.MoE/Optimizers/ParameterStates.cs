using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>The parameters of an optimizer in their groups, with the tensors that it keeps for each.</summary>
internal sealed class ParameterStates : IDisposable
{
    private readonly ParameterGroup[] groups;
    private readonly Slot[][] slots;

    /// <summary>Makes states of zeros.</summary>
    /// <param name="groups">What is trained; each parameter once.</param>
    /// <param name="moments">The names of the tensors to keep that are shaped like the parameter.</param>
    /// <param name="countsSteps">Whether to count the updates of each parameter.</param>
    /// <exception cref="ArgumentException">An option is out of range, or a parameter or a name appears twice.</exception>
    public ParameterStates(IEnumerable<ParameterGroup> groups, string[] moments, bool countsSteps)
    {
        this.groups = [.. groups];
        ParameterGroup.Check(this.groups);
        slots = this
            .groups.Select(group => group.Parameters.Select(pair => new Slot(pair.Key, pair.Value, moments, countsSteps)).ToArray())
            .ToArray();
    }

    public IEnumerable<Parameter> Parameters => slots.SelectMany(group => group).Select(slot => slot.Parameter);

    /// <summary>
    /// The tensors kept: for each parameter <c>NAME.MOMENT</c> and, where they are counted, its updates as <c>NAME.step</c>, a float32
    /// scalar.
    /// </summary>
    public IReadOnlyDictionary<string, Tensor> Tensors => slots.SelectMany(group => group).SelectMany(slot => slot.Tensors).ToDictionary();

    /// <summary>
    /// For each group the parameters that have a gradient, with all that belongs to them. Gradients lie in memory like their parameters:
    /// kernels walk it. Enumerate it within a dispose scope; copies of gradients that did not lie so belong to it.
    /// </summary>
    public IEnumerable<(ParameterGroup Group, ActiveParameters Active)> Active()
    {
        for (int i = 0; i < groups.Length; i++)
        {
            var (active, gradients) = (new List<Slot>(slots[i].Length), new List<Tensor>(slots[i].Length));
            foreach (var slot in slots[i])
            {
                if (slot.Parameter.grad is not { } gradient)
                    continue;
                active.Add(slot);
                gradients.Add(
                    gradient.stride().AsSpan().SequenceEqual(slot.Strides) ? gradient : empty_like(slot.Parameter).copy_(gradient)
                );   // autograd's own gradients do
            }
            if (active.Count > 0)
                yield return (groups[i], new ActiveParameters(active, gradients));
        }
    }

    public void ZeroGrad()
    {
        foreach (var parameter in Parameters)
            parameter.grad = null;
    }

    public void Dispose()
    {
        foreach (var tensor in Tensors.Values)
            tensor.Dispose();
    }

    /// <summary>Parallel lists.</summary>
    internal sealed class ActiveParameters(List<Slot> slots, List<Tensor> gradients)
    {
        public Tensor[] Parameters => slots.Select(slot => (Tensor)slot.Parameter).ToArray();

        public Tensor[] Gradients => gradients.ToArray();

        public Tensor[] Steps => slots.Select(slot => slot.Step!).ToArray();

        public Tensor[] Moments(int number) => slots.Select(slot => slot.Moments[number].Value).ToArray();
    }

    internal sealed class Slot
    {
        public Slot(string name, Parameter parameter, string[] moments, bool countsSteps)
        {
            using var _ = no_grad();
            Name = name;
            Parameter = parameter;
            Strides = parameter.stride();
            Moments = moments
                .Select(moment => KeyValuePair.Create($"{name}.{moment}", zeros_like(parameter).DetachFromDisposeScope()))
                .ToArray();
            Step = countsSteps ? zeros([], ScalarType.Float32, parameter.device).DetachFromDisposeScope() : null;
        }

        public string Name { get; }

        public Parameter Parameter { get; }

        public long[] Strides { get; }

        public KeyValuePair<string, Tensor>[] Moments { get; }

        public Tensor? Step { get; }

        public IEnumerable<KeyValuePair<string, Tensor>> Tensors => Step is null ? Moments : Moments.Append(new($"{Name}.step", Step));
    }
}

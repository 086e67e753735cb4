using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>Several optimizers, each with parameters of its own, as one. Owns them.</summary>
internal sealed class CompositeOptimizer : IOptimizer
{
    private const char Separator = '/';

    private readonly IReadOnlyDictionary<string, IOptimizer> parts;

    /// <summary>Puts optimizers together.</summary>
    /// <param name="parts">The optimizers by name; the state of each is named <c>PART/STATE</c>.</param>
    /// <exception cref="ArgumentException">There is none, a name has a slash, or a parameter belongs to two.</exception>
    public CompositeOptimizer(IReadOnlyDictionary<string, IOptimizer> parts)
    {
        ArgumentNullException.ThrowIfNull(parts);
        if (parts.Count == 0)
            throw new ArgumentException("There are no optimizers to put together; at least one is wanted.", nameof(parts));
        var owners = new Dictionary<IntPtr, string>();
        foreach (var (name, part) in parts)
        {
            if (name.Contains(Separator, StringComparison.Ordinal))
                throw new ArgumentException(
                    $"The optimizer's name '{name}' has a '{Separator}', which separates it from the names of its state.", nameof(parts));
            foreach (var parameter in part.Parameters)
            {
                if (!owners.TryAdd(parameter.Handle, name))
                    throw new ArgumentException(
                        $"A parameter of shape ({string.Join(", ", parameter.shape)}) belongs to optimizer '{owners[parameter.Handle]}' "
                            + $"and to '{name}'; each is trained by one.",
                        nameof(parts));
            }
        }
        this.parts = parts;
    }

    /// <inheritdoc/>
    public IEnumerable<Parameter> Parameters => parts.Values.SelectMany(part => part.Parameters);

    /// <inheritdoc/>
    public IReadOnlyDictionary<string, Tensor> State =>
        parts
            .SelectMany(part => part.Value.State.Select(state => KeyValuePair.Create($"{part.Key}{Separator}{state.Key}", state.Value)))
            .ToDictionary();

    /// <inheritdoc/>
    /// <remarks>Where a later part refuses its share, the parts before it have taken theirs.</remarks>
    public void Restore(IReadOnlyDictionary<string, Tensor> state)
    {
        ArgumentNullException.ThrowIfNull(state);
        var shares = parts.Keys.ToDictionary(name => name, _ => new Dictionary<string, Tensor>());
        foreach (var (name, value) in state)
        {
            var end = name.IndexOf(Separator, StringComparison.Ordinal);
            if (end < 0 || !shares.TryGetValue(name[..end], out var share))
                throw new InvalidDataException(
                    $"Tensor '{name}': none of the optimizers {string.Join(", ", parts.Keys.Select(part => $"'{part}'"))} has it.");
            share.Add(name[(end + 1)..], value);
        }
        foreach (var (name, part) in parts)
            part.Restore(shares[name]);
    }

    /// <inheritdoc/>
    public Tensor GradientNorm()
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var norms = parts.Values.Select(part => part.GradientNorm()).ToArray();
        // A part without gradients answers on the CPU.
        var device = norms.FirstOrDefault(norm => norm.device_type != DeviceType.CPU)?.device ?? CPU;
        return stack(norms.Select(norm => norm.to(device))).norm().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Step(double learningRate, Tensor? gradientDivisor = null, Tensor? skip = null)
    {
        foreach (var part in parts.Values)
            part.Step(learningRate, gradientDivisor, skip);
    }

    /// <inheritdoc/>
    public void ZeroGrad()
    {
        foreach (var part in parts.Values)
            part.ZeroGrad();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var part in parts.Values)
            part.Dispose();
    }
}

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Weights;

/// <summary>Tensors by name, such as the state of an optimizer.</summary>
internal static class NamedTensors
{
    /// <summary>A module's parameters and all its buffers, those of a module that is used several times once.</summary>
    public static IReadOnlyDictionary<string, Tensor> Of(nn.Module module) =>
        module.named_parameters().Select(pair => KeyValuePair.Create(pair.name, (Tensor)pair.parameter))
            .Concat(module.named_buffers().Select(pair => KeyValuePair.Create(pair.name, pair.buffer)))
            .DistinctBy(pair => pair.Value.Handle)
            .ToDictionary();

    /// <summary>The gradients of a module's parameters that have one, by the parameters' names.</summary>
    public static IReadOnlyDictionary<string, Tensor> GradientsOf(nn.Module module) =>
        module
            .named_parameters()
            .Where(pair => pair.parameter.grad is not null)
            .DistinctBy(pair => pair.parameter.Handle)
            .ToDictionary(pair => pair.name, pair => pair.parameter.grad!);

    /// <summary>Gives a module's parameters gradients, by copying, and takes away those of the others.</summary>
    public static void SetGradients(nn.Module module, IReadOnlyDictionary<string, Tensor> gradients)
    {
        foreach (var (name, parameter) in module.named_parameters())
            parameter.grad = gradients.TryGetValue(name, out var gradient) ? gradient.to(parameter.device, copy: true) : null;
    }

    /// <summary>Copies values into tensors of the same names, shapes and types.</summary>
    /// <param name="targets">What is overwritten.</param>
    /// <param name="values">The new values, on any device.</param>
    /// <exception cref="InvalidDataException">The two differ in names, shapes or types; the message names the first tensor that does.
    /// Nothing was changed.</exception>
    public static void Copy(IReadOnlyDictionary<string, Tensor> targets, IReadOnlyDictionary<string, Tensor> values)
    {
        foreach (var (name, value) in values)
        {
            if (!targets.TryGetValue(name, out var target))
                throw new InvalidDataException($"Tensor '{name}' is in the saved state, and nothing here has that name.");
            if (target.dtype != value.dtype || !target.shape.AsSpan().SequenceEqual(value.shape))
                throw new InvalidDataException(
                    $"Tensor '{name}' is {SafeTensorsEntry.Describe(value.dtype, value.shape)} in the saved state and "
                        + $"{SafeTensorsEntry.Describe(target.dtype, target.shape)} here.");
        }
        if (targets.Keys.FirstOrDefault(name => !values.ContainsKey(name)) is { } missing)
            throw new InvalidDataException($"Tensor '{missing}' is not in the saved state.");

        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, value) in values)
            targets[name].copy_(value);
    }
}

using Microsoft.ML.MoE.Weights;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>Tensors by name, such as the state of an optimizer.</summary>
internal static class NamedTensors
{
    /// <summary>Copies values into tensors of the same names, shapes and types.</summary>
    /// <param name="targets">What is overwritten.</param>
    /// <param name="values">The new values, on any device.</param>
    /// <exception cref="InvalidDataException">The two differ in names, shapes or types; the message names the first tensor that does. Nothing was changed.</exception>
    public static void Copy(IReadOnlyDictionary<string, Tensor> targets, IReadOnlyDictionary<string, Tensor> values)
    {
        foreach (var (name, value) in values)
        {
            if (!targets.TryGetValue(name, out var target))
                throw new InvalidDataException($"Tensor '{name}' is in the saved state, and nothing here has that name.");
            if (target.dtype != value.dtype || !target.shape.AsSpan().SequenceEqual(value.shape))
                throw new InvalidDataException($"Tensor '{name}' is {SafeTensorsEntry.Describe(value.dtype, value.shape)} in the saved state and {SafeTensorsEntry.Describe(target.dtype, target.shape)} here.");
        }
        if (targets.Keys.FirstOrDefault(name => !values.ContainsKey(name)) is { } missing)
            throw new InvalidDataException($"Tensor '{missing}' is not in the saved state.");

        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (name, value) in values)
            targets[name].copy_(value);
    }
}

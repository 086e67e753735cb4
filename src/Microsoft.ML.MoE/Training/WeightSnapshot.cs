using Microsoft.ML.MoE.Weights;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>A copy, in the memory of the CPU, of a module's parameters and buffers.</summary>
internal sealed class WeightSnapshot : IDisposable
{
    private readonly (string Name, Tensor Live, Tensor Copy)[] tensors;

    public WeightSnapshot(nn.Module module)
    {
        using var _ = no_grad();
        tensors = NamedTensors
            .Of(module)
            .Select(pair => (pair.Key, pair.Value, empty_like(pair.Value, device: CPU).DetachFromDisposeScope()))
            .ToArray();
    }

    /// <summary>The copies, by the names of parameters and buffers.</summary>
    public IReadOnlyDictionary<string, Tensor> Copies => tensors.ToDictionary(tensor => tensor.Name, tensor => tensor.Copy);

    public void Take() => CopyAll((live, copy) => copy.copy_(live));

    public void Restore() => CopyAll((live, copy) => live.copy_(copy));

    public void Dispose()
    {
        foreach (var (_, _, copy) in tensors)
            copy.Dispose();
    }

    private void CopyAll(Action<Tensor, Tensor> copy)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (_, live, kept) in tensors)
            copy(live, kept);
    }
}

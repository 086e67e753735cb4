using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>A copy, in the memory of the CPU, of a module's parameters and buffers.</summary>
internal sealed class WeightSnapshot : IDisposable
{
    private readonly (Tensor Live, Tensor Copy)[] tensors;

    public WeightSnapshot(nn.Module module)
    {
        using var _ = no_grad();
        tensors = module.named_parameters().Select(pair => (Tensor)pair.parameter)
            .Concat(module.named_buffers().Select(pair => pair.buffer))
            .DistinctBy(tensor => tensor.Handle)
            .Select(tensor => (tensor, empty_like(tensor, device: CPU).DetachFromDisposeScope()))
            .ToArray();
    }

    public void Take() => CopyAll((live, copy) => copy.copy_(live));

    public void Restore() => CopyAll((live, copy) => live.copy_(copy));

    public void Dispose()
    {
        foreach (var (_, copy) in tensors)
            copy.Dispose();
    }

    private void CopyAll(Action<Tensor, Tensor> copy)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        foreach (var (live, kept) in tensors)
            copy(live, kept);
    }
}

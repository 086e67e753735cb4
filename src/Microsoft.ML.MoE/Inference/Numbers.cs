using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Inference;

/// <summary>Copies of small tensors.</summary>
internal static unsafe class Numbers
{
    /// <summary>The numbers of a float32 tensor on the CPU.</summary>
    public static PinnedFloats Of(Tensor tensor)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var numbers = tensor.detach().contiguous();
        var copy = new PinnedFloats(numbers.numel());
        var bytes = copy.Count * sizeof(float);
        Buffer.MemoryCopy(Memory.Floats(numbers), copy.Address, bytes, bytes);
        GC.KeepAlive(numbers);
        return copy;
    }
}

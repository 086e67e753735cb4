using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Weights;

/// <summary>What a safetensors file held. Disposing it disposes the tensors.</summary>
/// <param name="Tensors">The tensors by name.</param>
/// <param name="Metadata">What the file says of itself; empty when it says nothing.</param>
internal sealed record SafeTensorsContents(IReadOnlyDictionary<string, Tensor> Tensors, IReadOnlyDictionary<string, string> Metadata)
    : IDisposable
{
    /// <summary>Disposes every tensor.</summary>
    public void Dispose()
    {
        foreach (var tensor in Tensors.Values)
            tensor.Dispose();
    }
}

using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Inference;

/// <summary>
/// Which weights a model had at a moment: libtorch counts the changes of a tensor in place, and other tensors are other objects. What is
/// written past libtorch, through a span or a pointer, is not noticed.
/// </summary>
internal sealed class WeightStamp
{
    private readonly Tensor[] tensors;
    private readonly long changes;

    private WeightStamp(Tensor[] tensors, long changes) => (this.tensors, this.changes) = (tensors, changes);

    /// <summary>The stamp of this moment.</summary>
    public static WeightStamp Of(nn.Module model)
    {
        Tensor[] tensors = [.. TensorsOf(model)];
        return new(tensors, TorchScripts.Versions(tensors));
    }

    /// <summary>Whether the model's weights are still those.</summary>
    public bool Holds(nn.Module model) =>
        // By reference: two tensors of TorchSharp are equal where their numbers are.
        TensorsOf(model).SequenceEqual(tensors, ReferenceEqualityComparer.Instance) && TorchScripts.Versions(tensors) == changes;

    private static IEnumerable<Tensor> TensorsOf(nn.Module model) => model.parameters().Concat(model.buffers());
}

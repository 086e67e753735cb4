using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Weights in the type of the matrix products, each cast once for a forward pass: a module that several blocks share would else cast its weights in every block, and its gradients back.
/// The gradients of the blocks are then added in that type. Belongs to one forward pass; it frees the casts, of which autograd keeps what it needs.
/// </summary>
internal sealed class CastWeights : IDisposable
{
    private readonly Dictionary<(nint Weight, ScalarType Type), Tensor> casts = [];

    /// <summary>A weight in a type.</summary>
    /// <param name="weight">The weight as it is stored.</param>
    /// <param name="type">The type wanted.</param>
    /// <returns>The weight itself where it has the type; else the cast, which this object owns.</returns>
    public Tensor Of(Tensor weight, ScalarType type)
    {
        if (weight.dtype == type)
            return weight;
        if (!casts.TryGetValue((weight.Handle, type), out var cast))
            casts[(weight.Handle, type)] = cast = weight.to_type(type).DetachFromDisposeScope();
        return cast;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (var cast in casts.Values)
            cast.Dispose();
        casts.Clear();
    }
}

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Weights in the type of the matrix products. While one of these is open, each weight is cast once on its thread: a module that several
/// blocks share would else cast its weights in every block, and its gradients back. The gradients of the blocks are then added in that
/// type. Belongs to one forward pass; it frees the casts, of which autograd keeps what it needs.
/// </summary>
internal sealed class CastWeights : IDisposable
{
    [ThreadStatic]
    private static CastWeights? open;   // of the forward pass that this thread is in, as TorchSharp's dispose scopes are

    private readonly Dictionary<(nint Weight, ScalarType Type), Tensor> casts = [];
    private readonly CastWeights? outer;

    private CastWeights()
    {
        outer = open;
        open = this;
    }

    /// <summary>Casts each weight once until the result is disposed.</summary>
    public static CastWeights Once() => new();

    /// <summary>A weight in a type.</summary>
    /// <param name="weight">The weight as it is stored.</param>
    /// <param name="type">The type wanted.</param>
    /// <returns>The weight itself where it has the type; else the cast, which what is open owns, or the caller's dispose scope where
    /// nothing is.</returns>
    public static Tensor Of(Tensor weight, ScalarType type)
    {
        if (weight.dtype == type)
            return weight;
        if (open is null)
            return weight.to_type(type);
        if (!open.casts.TryGetValue((weight.Handle, type), out var cast))
            open.casts[(weight.Handle, type)] = cast = weight.to_type(type).DetachFromDisposeScope();
        return cast;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        open = outer;
        foreach (var cast in casts.Values)
            cast.Dispose();
        casts.Clear();
    }
}

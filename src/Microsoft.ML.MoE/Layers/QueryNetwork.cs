// What asks the product keys: a linear map of each token to a query for every head, normalised over the batch. PEER, arXiv 2407.04153,
// section 2.2; Lample et al., arXiv 1907.05242, section 3.1.
//
// Axes: T = tokens of the whole batch, D = model width, H = heads, Q = H·d_k, the queries of all heads side by side.

using Microsoft.ML.MoE.Inference;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>q = BN(W·x + b), the batch normalisation by choice.</summary>
internal sealed class QueryNetwork : nn.Module<Tensor, Tensor>
{
    private readonly Dense projection;
    private readonly BatchNorm? norm;

    /// <summary>Makes a network with Xavier-uniform weights and zero biases.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="heads">Heads H.</param>
    /// <param name="queryWidth">Width d_k of a head's query.</param>
    /// <param name="batchNorm">Whether the queries are normalised.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public QueryNetwork(int width, int heads, int queryWidth, bool batchNorm, Device? device = null) : base(nameof(QueryNetwork))
    {
        projection = new Dense(width, (long)heads * queryWidth, device);
        if (batchNorm)
            norm = new BatchNorm((long)heads * queryWidth, device);
        RegisterComponents();
    }

    /// <summary>Computes the queries.</summary>
    /// <param name="x_TD">Tokens, float32 (T, D).</param>
    /// <returns>float32 (T, Q).</returns>
    public override Tensor forward(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        var query_TQ = projection.forward(x_TD);
        return (norm?.forward(query_TQ) ?? query_TQ).MoveToOuterDisposeScope();
    }

    /// <summary>The network in a plan, as in evaluation: its weights as they are now, the normalisation in them.</summary>
    internal LinearStep ToStep() => projection.ToStep(norm);
}

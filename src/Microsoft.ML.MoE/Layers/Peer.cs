// Parameter-efficient expert retrieval: a feed-forward layer of very many experts of one neuron each. PEER, "Mixture of A Million Experts",
// arXiv 2407.04153, section 2.
//
//   q = BN(W_q x), one for each head        I = the k experts whose product keys score highest with q        g = softmax of their scores
//   f(x) = Σ over heads Σ_{i in I} g_i · act(u_i·x) · v_i
//
// Axes: T = tokens of the whole batch, D = model width, H = heads, K = experts of a head, M = H·K experts of a token, Q = H·d_k.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// A PEER layer. What a token costs hardly depends on the number of experts N: only the key scores grow, with √N. No balance loss, no
/// capacity, no dropped tokens. With one expert a head, whose gate is then 1, it is a network of H hidden neurons put together anew for
/// each token (the paper's equation 8).
/// </summary>
/// <remarks>
/// With batch normalisation of the queries, a token's output in training depends on the others of its batch; in evaluation it does not. The
/// experts' tables train by an optimizer of their own (see <see cref="ExpertTables"/>).
/// </remarks>
internal sealed class Peer : FeedForwardSlot
{
    private readonly PeerOptions options;
    private readonly QueryNetwork query;
    private readonly ProductKeys keys;
    private readonly ExpertTables experts;

    /// <summary>Makes a layer: queries Xavier-uniform, sub-keys uniform in ±1/√(d_k/2), experts normal with variance 1/D.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="options">Number of experts, heads, retrieval, tables.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The tables do not fit into the memory that is available.</exception>
    public Peer(int width, PeerOptions options, Device? device = null) : base(nameof(Peer))
    {
        options.Validate();
        this.options = options;
        query = new QueryNetwork(width, options.Heads, options.QueryWidth, options.QueryBatchNorm, device);
        keys = new ProductKeys(options.Keys, device);
        experts = new ExpertTables(options.Kind, options.Experts, width, options.Activation, options.Tables, device);
        RegisterComponents();
    }

    /// <summary>The experts' tables.</summary>
    public ExpertTables Experts => experts;

    private protected override FeedForwardSlotOutput Compute(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        var (ids_THK, scores_THK) = keys.forward(query.forward(x_TD));
        var gates_THK = options.Gate == GateFunction.Softmax ? scores_THK.softmax(-1) : scores_THK.sigmoid();
        var (ids_TM, gates_TM) = (ids_THK.flatten(1), gates_THK.flatten(1));
        return new FeedForwardSlotOutput(
            experts.forward(x_TD, gates_TM, ids_TM),
            null,
            new ExpertSelection(ids_TM, gates_TM.detach(), options.Experts)
        ).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    internal override TokenStep? ToStep() =>
        keys.Pack() is { } packed
            ? new ProductKeyStep(query.ToStep(), packed, experts.ToRows(), options.Gate == GateFunction.Softmax)
            : null;
}

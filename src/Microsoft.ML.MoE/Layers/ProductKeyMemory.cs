// A large memory of values that tokens look up by product keys. Lample et al., "Large Memory Layers with Product Keys", arXiv 1907.05242,
// section 3.
//
//   q = BN(W_q x), one for each head        I = the k memories whose product keys score highest with q
//   f(x) = Σ over heads Σ_{i in I} softmax(scores)_i · v_i
//
// Axes: T = tokens of the whole batch, D = model width, H = heads, K = memories of a head, M = H·K memories of a token.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>A product-key memory: PEER without neurons, each expert being the vector that it adds.</summary>
internal sealed class ProductKeyMemory : FeedForwardSlot
{
    private readonly ProductKeyMemoryOptions options;
    private readonly QueryNetwork query;
    private readonly ProductKeys keys;
    private readonly ExpertTables memories;

    /// <summary>Makes a memory: queries Xavier-uniform, sub-keys uniform in ±1/√(d_k/2), values normal with variance 1/D.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="options">Number of memories, heads, retrieval, table.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The table does not fit into the memory that is available.</exception>
    public ProductKeyMemory(int width, ProductKeyMemoryOptions options, Device? device = null) : base(nameof(ProductKeyMemory))
    {
        options.Validate();
        this.options = options;
        query = new QueryNetwork(width, options.Heads, options.QueryWidth, options.QueryBatchNorm, device);
        keys = new ProductKeys(options.Keys, device);
        memories = new ExpertTables(ExpertKind.Value, options.Memories, width, NeuronActivation.Gelu, options.Tables, device);
        RegisterComponents();
    }

    /// <summary>The table of values.</summary>
    public ExpertTables Memories => memories;

    private protected override FeedForwardSlotOutput Compute(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        var (ids_THK, scores_THK) = keys.forward(query.forward(x_TD));
        var (ids_TM, gates_TM) = (ids_THK.flatten(1), scores_THK.softmax(-1).flatten(1));
        return new FeedForwardSlotOutput(
            memories.forward(x_TD, gates_TM, ids_TM),
            null,
            new ExpertSelection(ids_TM, gates_TM.detach(), options.Memories)
        ).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    internal override TokenStep? ToStep() =>
        keys.Pack() is { } packed ? new ProductKeyStep(query.ToStep(), packed, memories.ToRows(), softmax: true) : null;
}

// How tokens choose experts: softmax of a noisy linear score, then the K largest. WideNet, arXiv 2107.11817, section 3.2.
//
// Axes: T = tokens of the whole batch, D = model width, E = experts, K = experts chosen per token.

using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// Noisy top-k router: g(x) = TopK(softmax(f(x) + ε)), with f linear and without bias, ε ~ N(0, 1/E²) while training.
/// Softmax comes before the selection, so the kept gates of a token do not sum to 1.
/// </summary>
public sealed class TopKRouter : nn.Module<Tensor, RoutingDecision>
{
    private readonly TopKRouterOptions options;
    private readonly Parameter weight;

    /// <summary>Makes a router with Xavier-uniform weights.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="options">Number of experts, choices per token, noise.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public TopKRouter(int width, TopKRouterOptions options, Device? device = null) : base(nameof(TopKRouter))
    {
        options.Validate();
        this.options = options;
        weight = new Parameter(nn.init.xavier_uniform_(empty([options.Experts, width], float32, device)));
        RegisterComponents();
    }

    /// <summary>Number of experts E.</summary>
    public int Experts => options.Experts;

    /// <summary>Chooses K experts for every token.</summary>
    /// <param name="x_TD">Tokens, (T, D). The scores are computed in float32 whatever the type.</param>
    /// <returns>The chosen experts and gates, and the balance loss over these tokens.</returns>
    public override RoutingDecision forward(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        var probs_TE = Probabilities(x_TD);
        var (gates_TK, ids_TK) = probs_TE.topk(options.ExpertsPerToken, dim: -1);
        return new RoutingDecision(ids_TK, gates_TK, BalancingLosses.TopK(probs_TE, ids_TK)).MoveToOuterDisposeScope();
    }

    /// <summary>Gates for experts that were chosen elsewhere: the probabilities of <paramref name="ids_TK"/> under these tokens.</summary>
    /// <param name="x_TD">Tokens, (T, D).</param>
    /// <param name="ids_TK">Chosen experts, int64 (T, K).</param>
    /// <returns>Gates, float32 (T, K).</returns>
    public Tensor GatesFor(Tensor x_TD, Tensor ids_TK)
    {
        using var scope = NewDisposeScope();
        return Probabilities(x_TD).gather(1, ids_TK).MoveToOuterDisposeScope();
    }

    private Tensor Probabilities(Tensor x_TD)
    {
        var logits_TE = nn.functional.linear(x_TD.to_type(float32), weight);
        if (training && options.NoiseScale > 0)
            logits_TE = logits_TE + randn_like(logits_TE) * (options.NoiseScale / options.Experts);   // exploration noise, std 1/E
        return logits_TE.softmax(dim: -1);
    }
}

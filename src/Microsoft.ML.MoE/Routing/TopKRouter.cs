// How tokens choose experts: softmax of a noisy linear score, then the K largest. WideNet, arXiv 2107.11817, section 3.2; Sparse-MLP, arXiv
// 2109.02008, section 2.2.
//
// Axes: T = tokens of the whole batch, D = model width, E = experts, K = experts chosen per token.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// Noisy top-k router: g(x) = TopK(softmax(f(x) + ε)), with f linear and without bias, ε ~ N(0, 1/E²) while training.
/// Softmax comes before the selection, so the kept gates of a token do not sum to 1, unless
/// <see cref="TopKRouterOptions.RenormalizeGates"/> is set.
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
        weight = new Parameter(Draws.XavierUniform(empty([options.Experts, width], float32, device)));
        RegisterComponents();
    }

    /// <summary>Number of experts E.</summary>
    internal int Experts => options.Experts;

    /// <summary>How it chooses.</summary>
    internal TopKRouterOptions Options => options;

    /// <summary>The scores' weights, float32 (E, D).</summary>
    internal Tensor Weight_ED => weight;

    /// <summary>Chooses K experts for every token.</summary>
    /// <param name="x_TD">Tokens, (T, D). The scores are computed in float32 whatever the type.</param>
    /// <returns>The chosen experts and gates, and the balance loss over these tokens.</returns>
    public override RoutingDecision forward(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        var logits_TE = Score(x_TD);
        var noisyLogits_TE = AddNoise(logits_TE);
        var probs_TE = noisyLogits_TE.softmax(dim: -1);
        var (gates_TK, ids_TK) = probs_TE.topk(options.ExpertsPerToken, dim: -1);
        var balance = options.BalancingLoss == BalancingLoss.TopK
            ? BalancingLosses.TopK(probs_TE, ids_TK)
            : BalancingLosses.ImportanceAndLoad(logits_TE, noisyLogits_TE, ids_TK, NoiseDeviation);
        return new RoutingDecision(ids_TK, Renormalize(gates_TK), balance).MoveToOuterDisposeScope();
    }

    /// <summary>Gates for experts that were chosen elsewhere: the probabilities of <paramref name="ids_TK"/> under these tokens.</summary>
    /// <param name="x_TD">Tokens, (T, D).</param>
    /// <param name="ids_TK">Chosen experts, int64 (T, K).</param>
    /// <returns>Gates, float32 (T, K).</returns>
    internal Tensor GatesFor(Tensor x_TD, Tensor ids_TK)
    {
        using var scope = NewDisposeScope();
        return Renormalize(AddNoise(Score(x_TD)).softmax(dim: -1).gather(1, ids_TK)).MoveToOuterDisposeScope();
    }

    private Tensor Renormalize(Tensor gates_TK) => options.RenormalizeGates ? gates_TK / gates_TK.sum(-1, keepdim: true) : gates_TK;

    // Exploration noise, std 1/E, only while training.
    private double NoiseDeviation => training ? options.NoiseScale / options.Experts : 0;

    private Tensor Score(Tensor x_TD) => nn.functional.linear(x_TD.to_type(float32), weight);

    private Tensor AddNoise(Tensor logits_TE) =>
        NoiseDeviation > 0 ? logits_TE.Plus(Draws.NormalLike(logits_TE).Times(NoiseDeviation)) : logits_TE;
}

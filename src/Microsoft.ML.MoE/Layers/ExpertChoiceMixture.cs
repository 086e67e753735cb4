// A mixture of experts in which every expert chooses its tokens. Zhou et al., "Mixture-of-Experts with Expert Choice Routing", arXiv
// 2202.09368, section 3.2.
//
//   S = softmax over the experts of X·W_g        G, I = TopK(Sᵀ, C)        C = c·T/E
//   y_t = Σ over the experts e that chose t of S_te · FFN_e(x_t)
//
// Axes: T = tokens of the whole batch, D = model width, E = experts, C = tokens of an expert, R = E·C computed rows.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// The experts' choice: each takes the C tokens of the batch (in evaluation of several texts: of each text) that score highest with it, so
/// that all experts have the same load and no balance loss is needed. A token may get several experts, or none: then its output is 0.
/// </summary>
/// <remarks>
/// Not causal: whether an expert takes a token depends on all tokens of the batch, later ones of the same text among them; in evaluation,
/// on all tokens of its own text, which keeps a text's likelihood what it is whatever its companions in the batch. In a language model that
/// lets the loss look ahead a little, and makes word-by-word generation differ from scoring. The layer is here as the baseline that PEER's
/// paper compares with.
/// </remarks>
internal sealed class ExpertChoiceMixture : FeedForwardSlot
{
    private readonly ExpertChoiceOptions options;
    private readonly ScalarType computeType;
    private readonly Parameter router;
    private readonly FeedForwardExperts experts;

    /// <summary>Makes a layer with Xavier-uniform weights and zero biases.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="options">Experts and capacity.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the experts' matrix products; the router computes in float32.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public ExpertChoiceMixture(int width, ExpertChoiceOptions options, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(ExpertChoiceMixture))
    {
        options.Validate();
        this.options = options;
        this.computeType = computeType;
        router = new Parameter(Draws.XavierUniform(empty([options.Experts, width], float32, device)));
        experts = new FeedForwardExperts(width, options.ExpertWidth, options.Experts, device);
        RegisterComponents();
    }

    private protected override bool TokensCompete => true;

    private protected override ExpertSelection Join(IReadOnlyList<ExpertSelection> selections) =>
        ExpertSelection.Join(selections, dimension: 1);

    private protected override FeedForwardSlotOutput Compute(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        var tokens = x_TD.shape[0];
        var probs_TE = nn.functional.linear(x_TD, router).softmax(-1);
        var places = tokens == 0 ? 0 : options.TokensPerExpert(tokens);
        var (gates_EC, tokens_EC) = probs_TE.T.topk((int)places, dim: 1);
        var plan = Plan(tokens_EC, tokens);
        var output_TD = experts.forward(x_TD.to_type(computeType), probs_TE, plan);
        return new FeedForwardSlotOutput(
            output_TD,
            null,
            new ExpertSelection(plan.ExpertOfRow_R.view(options.Experts, places), gates_EC.detach(), options.Experts)
        ).MoveToOuterDisposeScope();
    }

    // Every (token, expert) is a pair; those that the experts chose get a row.
    private DispatchPlan Plan(Tensor tokens_EC, long tokens)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (count, places, device) = (options.Experts, tokens_EC.shape[1], tokens_EC.device);
        var tokenOfRow_R = tokens_EC.flatten();
        var expertOfRow_R = Range(count, int64, device).unsqueeze(1).expand(count, places).reshape(-1);
        var pairOfRow_R = tokenOfRow_R.Times(count).Plus(expertOfRow_R);
        var kept_TE = zeros([tokens * count], @bool, device).scatter(0, pairOfRow_R, ones_like(pairOfRow_R, @bool)).view(tokens, count);
        return new DispatchPlan(
            pairOfRow_R,
            tokenOfRow_R,
            expertOfRow_R,
            Range(count, int64, device).Plus(1).Times(places).to_type(int32),
            kept_TE,
            Filled([count], places, int64, device),
            zeros([], int64, device)
        ).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    internal override TokenStep ToStep() => ExpertChoiceStep.Of(router, experts, options.TokensPerExpert);
}

// A sparse feed-forward layer: router + experts. WideNet, arXiv 2107.11817, equations 1–2.
//
// Axes: T = tokens of the whole batch, D = model width, E = experts, K = experts chosen per token.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>MoE(x) = Σᵢ g(x)ᵢ · FFNᵢ(x) over the K experts that the router chooses for each token.</summary>
public sealed class MixtureOfExperts : nn.Module<Tensor, MixtureOfExpertsOutput>
{
    private readonly MixtureOfExpertsOptions options;
    private readonly ScalarType computeType;
    private readonly TopKRouter router;
    private readonly FeedForwardExperts experts;

    /// <summary>Makes a layer.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="options">Router, experts, capacity.</param>
    /// <param name="computeType">Type of the experts' matrix products; float32 by default. The router always computes in float32.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public MixtureOfExperts(int width, MixtureOfExpertsOptions options, ScalarType computeType = ScalarType.Float32, Device? device = null)
        : base(nameof(MixtureOfExperts))
    {
        options.Validate();
        this.options = options;
        this.computeType = computeType;
        router = new TopKRouter(width, options.Router, device);
        experts = new FeedForwardExperts(width, options.ExpertWidth, options.Router.Experts, device);
        RegisterComponents();
    }

    /// <summary>Routes the tokens and computes them.</summary>
    /// <param name="x_TD">Tokens of the whole batch, float32 (T, D). For <see cref="MixtureOfExpertsOptions.EvaluationCapacity"/> they are
    /// one item.</param>
    public override MixtureOfExpertsOutput forward(Tensor x_TD) => forward(x_TD, items: 1);

    /// <summary>Routes the tokens of several items and computes them.</summary>
    /// <param name="x_TD">Tokens of the whole batch, those of an item next to each other, float32 (T, D).</param>
    /// <param name="items">Items (images, texts) that the tokens are of, equally many of each.</param>
    /// <exception cref="ArgumentException">The tokens are no whole number for each item.</exception>
    public MixtureOfExpertsOutput forward(Tensor x_TD, long items)
    {
        using var scope = NewDisposeScope();
        var decision = router.forward(x_TD);
        var plan = training
            ? DispatchPlan.Create(decision, options.Router.Experts, options.TrainingCapacity)
            : DispatchPlan.Create(
                decision, options.Router.Experts, options.EvaluationCapacity, options.EvaluationCapacity is null ? 1 : items);
        return new MixtureOfExpertsOutput(
            experts.forward(x_TD.to_type(computeType), decision.Gates_TK, plan),
            new RoutingRecord(decision, plan)
        ).MoveToOuterDisposeScope();
    }

    /// <summary>Computes the tokens with the assignment of an earlier call.</summary>
    /// <param name="x_TD">The same tokens in a later block, float32 (T, D).</param>
    /// <param name="routing">The assignment to use.</param>
    /// <param name="reuse">Whether the gates are taken over too, or computed from these tokens.</param>
    /// <returns>Combined expert outputs, float32 (T, D).</returns>
    public Tensor ForwardWith(Tensor x_TD, RoutingRecord routing, RoutingReuse reuse)
    {
        using var scope = NewDisposeScope();
        var gates_TK = reuse == RoutingReuse.ExpertsAndGates ? routing.Gates_TK : router.GatesFor(x_TD, routing.ExpertIds_TK);
        return experts.forward(x_TD.to_type(computeType), gates_TK, routing.Plan).MoveToOuterDisposeScope();
    }

    /// <summary>The layer in a plan, as in evaluation: its weights as they are now.</summary>
    internal MixtureStep ToStep() => MixtureStep.Of(RouterStep.Of(router, options.EvaluationCapacity), experts);
}

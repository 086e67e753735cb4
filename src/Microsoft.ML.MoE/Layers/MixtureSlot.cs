// Axes: T = tokens of the whole batch, D = model width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// A mixture of experts whose tokens choose, as a <see cref="FeedForwardSlot"/>. Its auxiliary loss is the weighted balance loss.
/// </summary>
internal sealed class MixtureSlot : FeedForwardSlot
{
    private readonly MixtureSlotOptions options;
    private readonly MixtureOfExperts mixture;

    /// <summary>Makes a layer.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="options">Router, experts, capacity, weight of the balance loss.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the experts' matrix products.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public MixtureSlot(int width, MixtureSlotOptions options, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(MixtureSlot))
    {
        options.Validate();
        this.options = options;
        mixture = new MixtureOfExperts(width, options.Mixture, computeType, device);
        RegisterComponents();
    }

    private protected override bool TokensCompete => options.Mixture.EvaluationCapacity is not null;

    private protected override FeedForwardSlotOutput Compute(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        var (output_TD, routing) = mixture.forward(x_TD);
        var selection = new ExpertSelection(
            routing.ExpertIds_TK, routing.Gates_TK.detach(), options.Mixture.Router.Experts, routing.DroppedCount);
        // Of no tokens there is no mean.
        var loss = x_TD.shape[0] == 0 ? zeros([], float32, x_TD.device) : routing.BalanceLoss.Times(options.BalanceLossWeight);
        return new FeedForwardSlotOutput(output_TD, loss, selection).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    internal override TokenStep ToStep() => mixture.ToStep();
}

// A linear layer, dense or of linear experts that are chosen by the tokens' roles or by the tokens. Uni-Perceiver-MoE, arXiv 2206.04674,
// section 4.2.
//
// Axes: N = sequences, L = tokens of a sequence, I = inputs, O = outputs, T = tokens that count, K = experts chosen.

using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// y = Σₖ gₖ · (Wₑ·x + bₑ), or W·x + b where there are no experts. Experts of a role are merged before the product: one product a role.
/// </summary>
internal sealed class ConditionalLinear : nn.Module
{
    private readonly Dense? dense;
    private readonly LinearExperts? experts;

    /// <summary>Makes a layer with Xavier-uniform weights and zero biases.</summary>
    /// <param name="inputs">Input width I.</param>
    /// <param name="outputs">Output width O.</param>
    /// <param name="experts">Number of experts; null for a dense layer.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public ConditionalLinear(long inputs, long outputs, int? experts, Device? device = null)
        : this(inputs, outputs, experts, device, hiddenLayers: 1) { }

    internal ConditionalLinear(long inputs, long outputs, int? experts, Device? device, int hiddenLayers) : base(nameof(ConditionalLinear))
    {
        if (experts is { } count)
            this.experts = new LinearExperts(inputs, outputs, count, device) { HiddenLayers = hiddenLayers };
        else
            dense = new Dense(inputs, outputs, device) { HiddenLayers = hiddenLayers };
        RegisterComponents();
    }

    /// <summary>Applies the layer.</summary>
    /// <param name="x_NLI">Tokens, float32 (N, L, I).</param>
    /// <param name="layout">Their roles.</param>
    /// <param name="routing">Which experts; null for a dense layer.</param>
    /// <param name="merged">Keeps the merged experts for later calls, where roles are routed and no gradient is wanted; null to merge them
    /// anew.</param>
    /// <returns>float32 (N, L, O).</returns>
    public Tensor Apply(Tensor x_NLI, SequenceLayout layout, ConditionalRouting? routing, MergedExperts? merged)
    {
        if (dense is not null)
            return dense.forward(x_NLI);
        ArgumentNullException.ThrowIfNull(routing);
        using var scope = NewDisposeScope();
        if (routing.Plan is not null)
            return ByToken(x_NLI, routing).MoveToOuterDisposeScope();

        MergedLinear[] layers = [.. layout.Roles.Select((role, index) => merged is null
            ? Merge(routing, index)
            : merged.GetOrMerge(experts!, role.KeyAt(routing.Level), layout.Roles.Count, () => Merge(routing, index)))];
        if (layers.Length == 1)
            return layers[0].Apply(x_NLI).MoveToOuterDisposeScope();
        var parts = x_NLI.split([.. layout.Parts.Select(part => part.Length)], 1);
        return cat([.. parts.Select((part, index) => layers[layout.RoleOf(index)].Apply(part.contiguous()))], 1).MoveToOuterDisposeScope();
    }

    private MergedLinear Merge(ConditionalRouting routing, int role) =>
        experts!.Merge(routing.Decision.ExpertIds_TK[role], routing.Decision.Gates_TK[role]);

    private Tensor ByToken(Tensor x_NLI, ConditionalRouting routing)
    {
        var x_TI = x_NLI.flatten(0, 1);
        var y_TO = routing.Tokens_T is not { } tokens_T
            ? experts!.forward(x_TI, routing.Decision.Gates_TK, routing.Plan!)
            : Rows.ScatterAdd(
                experts!.forward(Rows.Gather(x_TI, tokens_T), routing.Decision.Gates_TK, routing.Plan!), tokens_T, x_TI.shape[0]);
        return y_TO.view(x_NLI.shape[0], x_NLI.shape[1], -1);
    }
}

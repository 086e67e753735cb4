// How tokens choose linear experts, at five levels. Uni-Perceiver-MoE, arXiv 2206.04674, section 4.2.
//
// Axes: N = sequences, L = tokens of a sequence, D = model width, R = roles, T = tokens that count, K = experts chosen.

using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// One gate of a layer: a <see cref="TopKRouter"/> of renormalised gates whose input is the role's vector, the token, or the token beside
/// the mean of what it sees of its sequence.
/// </summary>
internal sealed class ConditionalRouter : nn.Module
{
    private readonly RoutingLevel level;
    private readonly TopKRouter gate;

    /// <summary>Makes a gate.</summary>
    /// <param name="level">What decides.</param>
    /// <param name="width">Model width D.</param>
    /// <param name="experts">Number of experts.</param>
    /// <param name="expertsPerToken">Experts K that are chosen.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">A number is out of range.</exception>
    public ConditionalRouter(RoutingLevel level, int width, int experts, int expertsPerToken, Device? device = null)
        : base(nameof(ConditionalRouter))
    {
        this.level = level;
        gate = new TopKRouter(
            level == RoutingLevel.Context ? 2 * width : width,
            new TopKRouterOptions
            {
                Experts = experts,
                ExpertsPerToken = expertsPerToken,
                RenormalizeGates = true,
            },
            device);
        RegisterComponents();
    }

    /// <summary>Chooses experts.</summary>
    /// <param name="x_NLD">The tokens, float32 (N, L, D). Not read where roles are routed.</param>
    /// <param name="roles_RD">The roles' vectors, float32 (R, D), where roles are routed; else null.</param>
    /// <param name="mask_NL">False for padding, bool (N, L), which is not routed; null where every token counts.</param>
    /// <param name="visible_NLL">True where a token (row) sees another (column), bool, (N, L, L) or (1, L, L), for a mean over what the
    /// token sees; null for one over all that count.</param>
    public ConditionalRouting Route(Tensor x_NLD, Tensor? roles_RD, Tensor? mask_NL, Tensor? visible_NLL = null)
    {
        using var scope = NewDisposeScope();
        if (!level.DependsOnData())
            return new ConditionalRouting(
                gate.forward(
                    roles_RD ?? throw new ArgumentNullException(nameof(roles_RD), $"A router at level {level} needs the roles' vectors.")))
            {
                Level = level,
            }.MoveToOuterDisposeScope();

        var input_NLX = level == RoutingLevel.Context ? cat([x_NLD, Mean(x_NLD, mask_NL, visible_NLL).expand(x_NLD.shape)], -1) : x_NLD;
        var input_TX = input_NLX.flatten(0, 1);
        var tokens_T = mask_NL?.flatten().nonzero().squeeze(1);
        if (tokens_T is not null)
            input_TX = Rows.Gather(input_TX, tokens_T);
        var decision = gate.forward(input_TX);
        return new ConditionalRouting(decision, DispatchPlan.Create(decision, gate.Experts, capacity: null), tokens_T)
        {
            Level = level,
        }.MoveToOuterDisposeScope();
    }

    // Of a causal sequence each token may know no more than it sees: the mean over all would tell it of the words to come.
    private static Tensor Mean(Tensor x_NLD, Tensor? mask_NL, Tensor? visible_NLL)
    {
        if (mask_NL is null && visible_NLL is null)
            return x_NLD.mean([1], keepdim: true);
        using var scope = NewDisposeScope();
        var weights_NLL = (visible_NLL ?? mask_NL!.unsqueeze(1)).to_type(x_NLD.dtype);
        return (weights_NLL / weights_NLL.sum(-1, keepdim: true)).matmul(x_NLD).MoveToOuterDisposeScope();
    }
}

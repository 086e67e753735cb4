// What a router decides for a batch of tokens.
//
// Axes: T = tokens of the whole batch, K = experts chosen per token.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>A router's decision: which experts each token goes to, and with what weight.</summary>
/// <param name="ExpertIds_TK">Chosen experts, int64 (T, K), best first.</param>
/// <param name="Gates_TK">Weight of each chosen expert's output, float32 (T, K). Carries the router's gradient.</param>
/// <param name="BalanceLoss">Load-balancing loss of this decision, a float32 scalar, not yet weighted. Carries the router's
/// gradient.</param>
public sealed record RoutingDecision(Tensor ExpertIds_TK, Tensor Gates_TK, Tensor BalanceLoss)
{
    internal RoutingDecision MoveToOuterDisposeScope() =>
        new(ExpertIds_TK.MoveToOuterDisposeScope(), Gates_TK.MoveToOuterDisposeScope(), BalanceLoss.MoveToOuterDisposeScope());
}

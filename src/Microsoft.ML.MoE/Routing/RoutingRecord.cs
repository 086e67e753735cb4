// What happened in one routed layer in one forward pass.
//
// Axes: T = tokens of the whole batch, E = experts, K = experts chosen per token.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>The routing of one layer in one forward pass: returned with the layer's output, never kept by the layer.</summary>
/// <param name="Decision">The router's choices, gates and balance loss.</param>
/// <param name="Plan">The rows that were computed.</param>
public sealed record RoutingRecord(RoutingDecision Decision, DispatchPlan Plan)
{
    /// <summary>Chosen experts, int64 (T, K), best first.</summary>
    public Tensor ExpertIds_TK => Decision.ExpertIds_TK;

    /// <summary>Weight of each chosen expert's output, float32 (T, K), before dropping.</summary>
    public Tensor Gates_TK => Decision.Gates_TK;

    /// <summary>Load-balancing loss, a scalar, not weighted.</summary>
    public Tensor BalanceLoss => Decision.BalanceLoss;

    /// <summary>How often each expert was chosen, kept and dropped alike, int64 (E).</summary>
    public Tensor ExpertCounts_E => Plan.ExpertCounts_E;

    /// <summary>(Token, choice) pairs that found no place, an int64 scalar.</summary>
    public Tensor DroppedCount => Plan.DroppedCount;

    internal RoutingRecord MoveToOuterDisposeScope() => new(Decision.MoveToOuterDisposeScope(), Plan.MoveToOuterDisposeScope());
}

// Axes: R = roles of the batch's tokens, T = tokens that count, K = experts chosen.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>How one gate routes the tokens of a batch: by role, or each token on its own.</summary>
/// <param name="Decision">The choices, a row for each role or for each token that counts.</param>
/// <param name="Plan">The rows that are computed where each token is routed on its own; null where roles are.</param>
/// <param name="Tokens_T">The tokens that count, as numbers in the batch, int64 (T), where each is routed on its own; null where all do,
/// and where roles are routed.</param>
internal sealed record ConditionalRouting(RoutingDecision Decision, DispatchPlan? Plan = null, Tensor? Tokens_T = null)
{
    /// <summary>What has decided; null where that is not known.</summary>
    internal RoutingLevel? Level { get; init; }

    internal ConditionalRouting MoveToOuterDisposeScope() =>
        new(Decision.MoveToOuterDisposeScope(), Plan?.MoveToOuterDisposeScope(), Tokens_T?.MoveToOuterDisposeScope()) { Level = Level };
}

// Who computes what: the (token, expert) pairs of a batch, sorted by expert, with those beyond an expert's capacity left out.
//
// Axes: T = tokens of the whole batch, E = experts, K = experts chosen per token, P = T·K pairs (pair p is choice p mod K of token p div K),
//       R = rows that are computed: the pairs sorted by expert.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>The pairs of a batch in the order in which experts compute them. Decided before any expert runs; carries no gradient.</summary>
/// <param name="PairOfRow_R">For every computed row its pair, int64 (R), sorted by expert.</param>
/// <param name="TokenOfRow_R">For every computed row its token, int64 (R).</param>
/// <param name="ExpertOfRow_R">For every computed row its expert, int64 (R), ascending.</param>
/// <param name="RowEnds_E">One past the last row of each expert, int32 (E): the running sum of the rows of each.</param>
/// <param name="Kept_TK">True where the expert accepted the pair, bool (T, K).</param>
/// <param name="ExpertCounts_E">How often each expert was chosen, kept and dropped alike, int64 (E).</param>
/// <param name="DroppedCount">Pairs that found no place, an int64 scalar.</param>
public sealed record DispatchPlan(Tensor PairOfRow_R, Tensor TokenOfRow_R, Tensor ExpertOfRow_R, Tensor RowEnds_E, Tensor Kept_TK, Tensor ExpertCounts_E, Tensor DroppedCount)
{
    /// <summary>Sorts the pairs of a decision by expert.</summary>
    /// <param name="decision">The router's decision.</param>
    /// <param name="experts">Number of experts E.</param>
    /// <param name="capacity">Limit of tokens per expert, or null for none.</param>
    /// <remarks>
    /// On the CPU dropped pairs get no row. On other devices the number of rows must not depend on the data (that would stop the device to ask), so there a dropped pair
    /// keeps its row and only its gate becomes 0: <see cref="Kept_TK"/> is what callers multiply the gates with.
    /// </remarks>
    public static DispatchPlan Create(RoutingDecision decision, int experts, ExpertCapacity? capacity)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var ids_TK = decision.ExpertIds_TK;
        var (tokens, choices) = (ids_TK.shape[0], ids_TK.shape[1]);
        var pairs = tokens * choices;
        var device = ids_TK.device;
        var counts_E = BalancingLosses.CountChoices(ids_TK, experts);

        Tensor order_P;
        var ids_P = ids_TK.flatten();
        if (capacity?.Priority == CapacityPriority.LargestGate)
        {
            var priority_P = PairsByLargestGate(decision.Gates_TK);
            order_P = priority_P.gather(0, SortStable(ids_P.gather(0, priority_P), experts));
        }
        else
        {
            order_P = SortStable(ids_P, experts);
        }

        var expertOfRow_P = ids_P.gather(0, order_P);
        var slots = capacity?.Slots(tokens, experts, (int)choices) ?? tokens;
        if (slots >= tokens)   // a token chooses an expert at most once, so nothing can be dropped
            return Rows(order_P, expertOfRow_P, counts_E, ones([tokens, choices], @bool, device), zeros([], int64, device));

        var firstRow_E = counts_E.cumsum(0) - counts_E;
        var keptRow_P = arange(pairs, int64, device) - firstRow_E.gather(0, expertOfRow_P) < slots;
        var kept_TK = zeros([pairs], @bool, device).scatter(0, order_P, keptRow_P).view(tokens, choices);
        var keptCounts_E = counts_E.clamp(max: slots);
        var dropped = pairs - keptCounts_E.sum();
        if (device.type != DeviceType.CPU)
            return Rows(order_P, expertOfRow_P, counts_E, kept_TK, dropped);

        var keptRows_R = keptRow_P.nonzero().flatten();
        return Rows(order_P.gather(0, keptRows_R), expertOfRow_P.gather(0, keptRows_R), keptCounts_E, kept_TK, dropped);

        DispatchPlan Rows(Tensor pairOfRow_R, Tensor expertOfRow_R, Tensor rows_E, Tensor kept, Tensor droppedCount) =>
            new DispatchPlan(pairOfRow_R, pairOfRow_R.div(choices, RoundingMode.floor), expertOfRow_R, rows_E.cumsum(0).to_type(int32), kept, counts_E, droppedCount)
                .MoveToOuterDisposeScope();
    }

    internal DispatchPlan MoveToOuterDisposeScope() => new(
        PairOfRow_R.MoveToOuterDisposeScope(), TokenOfRow_R.MoveToOuterDisposeScope(), ExpertOfRow_R.MoveToOuterDisposeScope(), RowEnds_E.MoveToOuterDisposeScope(),
        Kept_TK.MoveToOuterDisposeScope(), ExpertCounts_E.MoveToOuterDisposeScope(), DroppedCount.MoveToOuterDisposeScope());

    // Sorting expert·P + position makes every key different, so that an unstable sort is stable.
    private static Tensor SortStable(Tensor ids_P, int experts)
    {
        var pairs = ids_P.shape[0];
        var keys_P = ids_P * pairs + arange(pairs, int64, ids_P.device);
        return keys_P.sort().Values.remainder(Math.Max(pairs, 1));
    }

    private static Tensor PairsByLargestGate(Tensor gates_TK)
    {
        var (tokens, choices) = (gates_TK.shape[0], gates_TK.shape[1]);
        var largest_T = gates_TK.detach().amax([1]);
        var tokensByGate_T = (-largest_T).sort(dim: 0, descending: false, stable: true).Indices;
        var choice_K1 = arange(choices, int64, gates_TK.device).unsqueeze(1);
        return (tokensByGate_T.unsqueeze(0) * choices + choice_K1).flatten();   // (K, T) -> (P): all first choices, then all second ones
    }
}

// Who computes what: the (token, expert) pairs of a batch, sorted by expert, with those beyond an expert's capacity left out.
//
// Axes: T = tokens of the whole batch, E = experts, K = experts chosen per token, P = T·K pairs (pair p is choice p mod K of token p div
// K),
//       R = rows that are computed: the pairs sorted by expert.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Experts;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
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
public sealed record DispatchPlan(
    Tensor PairOfRow_R,
    Tensor TokenOfRow_R,
    Tensor ExpertOfRow_R,
    Tensor RowEnds_E,
    Tensor Kept_TK,
    Tensor ExpertCounts_E,
    Tensor DroppedCount)
{
    /// <summary>What kernels need to know of the plan.</summary>
    internal SortedRows Rows => new(RowEnds_E, TokenOfRow_R, PairOfRow_R);

    /// <summary>Sorts the pairs of a decision by expert.</summary>
    /// <param name="decision">The router's decision.</param>
    /// <param name="experts">Number of experts E.</param>
    /// <param name="capacity">Limit of tokens per expert, or null for none.</param>
    /// <param name="items">
    /// Items (images, texts) of equally many tokens, one after the other, for each of which an expert has places of its own: then what
    /// becomes of a token depends on those of its item alone. 1 (default) where all tokens share the places.
    /// </param>
    /// <remarks>
    /// On the CPU dropped pairs get no row. On other devices the number of rows must not depend on the data (that would stop the device to
    /// ask), so there a dropped pair keeps its row and only its gate becomes 0: <see cref="Kept_TK"/> is what callers multiply the gates
    /// with.
    /// </remarks>
    /// <exception cref="ArgumentException">A chosen expert is not one of 0 to E − 1 (checked on the CPU), or the tokens are no whole number
    /// for each item.</exception>
    public static DispatchPlan Create(RoutingDecision decision, int experts, ExpertCapacity? capacity, long items = 1)
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (tokens, choices) = (decision.ExpertIds_TK.shape[0], decision.ExpertIds_TK.shape[1]);
        if (items < 1 || tokens % items != 0)
            throw new ArgumentException(
                $"There are {tokens} tokens and {items} items; at least one item is wanted, and equally many tokens in each.",
                nameof(items));
        var places = capacity?.Slots(tokens / items, experts, (int)choices) ?? tokens;
        var priority_P = capacity?.Priority switch
        {
            CapacityPriority.LargestGate => PairsByChoice(TokensByLargestGate(decision.Gates_TK), choices),
            CapacityPriority.ChoiceOrder => PairsByChoice(Range(tokens, int64, decision.ExpertIds_TK.device), choices),
            _ => null,
        };
        return (decision.ExpertIds_TK.device_type == DeviceType.CPU
            ? ByCounting(decision.ExpertIds_TK, experts, places, priority_P, items)
            : BySorting(decision.ExpertIds_TK, experts, places, priority_P, items)).MoveToOuterDisposeScope();
    }

    /// <summary>A counting sort, on the CPU.</summary>
    /// <param name="ids_TK">Chosen experts, int64 (T, K).</param>
    /// <param name="experts">Number of experts E.</param>
    /// <param name="places">Pairs of an item that an expert accepts.</param>
    /// <param name="priority_P">The pairs in the order in which they ask for a place; null for their own.</param>
    /// <param name="items">Items of equally many tokens.</param>
    internal static unsafe DispatchPlan ByCounting(Tensor ids_TK, int experts, long places, Tensor? priority_P, long items = 1)
    {
        using var scope = NewDisposeScope();
        var (tokens, choices) = (ids_TK.shape[0], ids_TK.shape[1]);
        var pairs = tokens * choices;
        var contiguousIds_TK = ids_TK.contiguous();
        var ids = Memory.Longs(contiguousIds_TK);
        var priority = priority_P is null ? null : Memory.Longs(priority_P);

        var pairsOfItem = Math.Max(1, pairs / items);
        var counts = new long[experts];
        var countsOfItems = new long[items * experts];
        for (var pair = 0L; pair < pairs; pair++)
        {
            if ((ulong)ids[pair] >= (ulong)experts)
                throw new ArgumentException($"Token {pair / choices} has chosen expert {ids[pair]}; there are {experts}.");
            counts[ids[pair]]++;
            countsOfItems[(pair / pairsOfItem * experts) + ids[pair]]++;
        }

        var nextRow = new long[experts];
        var rowEnds = new int[experts];
        var rows = 0L;
        for (var e = 0; e < experts; e++)
        {
            nextRow[e] = rows;
            for (var item = 0L; item < items; item++)
                rows += Math.Min(countsOfItems[(item * experts) + e], places);
            rowEnds[e] = checked((int)rows);
        }

        var (pairOfRow_R, tokenOfRow_R, expertOfRow_R) = (empty([rows], int64), empty([rows], int64), empty([rows], int64));
        var kept_TK = zeros([tokens, choices], @bool);
        var pairOfRow = Memory.Longs(pairOfRow_R);
        var tokenOfRow = Memory.Longs(tokenOfRow_R);
        var expertOfRow = Memory.Longs(expertOfRow_R);
        var kept = (bool*)Memory.Address(kept_TK);
        var taken = new long[items * experts];
        for (var turn = 0L; turn < pairs; turn++)
        {
            var pair = priority == null ? turn : priority[turn];
            var expert = ids[pair];
            if (taken[(pair / pairsOfItem * experts) + expert]++ >= places)
                continue;
            var row = nextRow[expert]++;
            pairOfRow[row] = pair;
            tokenOfRow[row] = pair / choices;
            expertOfRow[row] = expert;
            kept[pair] = true;
        }

        GC.KeepAlive(priority_P);
        return new DispatchPlan(
            pairOfRow_R, tokenOfRow_R, expertOfRow_R, tensor(rowEnds), kept_TK, tensor(counts),
            tensor(pairs - rows)).MoveToOuterDisposeScope();
    }

    /// <summary>The device's operators, none of which has to know how many pairs find a place: those without one keep their row.</summary>
    /// <inheritdoc cref="ByCounting"/>
    internal static DispatchPlan BySorting(Tensor ids_TK, int experts, long places, Tensor? priority_P, long items = 1)
    {
        using var scope = NewDisposeScope();
        if (items > 1)
        {
            // Which pairs find a place, as if each item had experts of its own; and who computes them.
            var own_NE = tensor(
                    Array.ConvertAll([.. Enumerable.Range(0, checked((int)items * experts))], expert => (long)expert),
                    int64,
                    ids_TK.device)
                .view(items, experts);
            var placed = BySorting(
                own_NE.gather(1, ids_TK.reshape(items, -1)).view(ids_TK.shape), checked((int)items * experts), places, priority_P);
            return (
                BySorting(ids_TK, experts, ids_TK.shape[0], priority_P) with
                {
                    Kept_TK = placed.Kept_TK,
                    DroppedCount = placed.DroppedCount,
                }).MoveToOuterDisposeScope();
        }
        var (tokens, choices) = (ids_TK.shape[0], ids_TK.shape[1]);
        var pairs = tokens * choices;
        var device = ids_TK.device;
        var ids_P = ids_TK.flatten();
        var counts_E = BalancingLosses.CountChoices(ids_TK, experts);
        var order_P = priority_P is null ? SortStable(ids_P) : priority_P.gather(0, SortStable(ids_P.gather(0, priority_P)));
        var expertOfRow_P = ids_P.gather(0, order_P);

        var (kept_TK, dropped) = (ones([tokens, choices], @bool, device), zeros([], int64, device));
        if (places < tokens)   // a token chooses an expert at most once; else nothing can be dropped
        {
            var firstRow_E = counts_E.cumsum(0) - counts_E;
            var keptRow_P = (Range(pairs, int64, device) - firstRow_E.gather(0, expertOfRow_P)).LessThan(places);
            kept_TK = zeros([pairs], @bool, device).scatter(0, order_P, keptRow_P).view(tokens, choices);
            dropped = counts_E.Clamp(max: places).sum().SubtractedFrom(pairs);
        }

        return new DispatchPlan(
            order_P, order_P.FloorDividedBy(choices), expertOfRow_P, counts_E.cumsum(0).to_type(int32), kept_TK, counts_E,
            dropped).MoveToOuterDisposeScope();
    }

    internal DispatchPlan MoveToOuterDisposeScope() =>
        new(
            PairOfRow_R.MoveToOuterDisposeScope(),
            TokenOfRow_R.MoveToOuterDisposeScope(),
            ExpertOfRow_R.MoveToOuterDisposeScope(),
            RowEnds_E.MoveToOuterDisposeScope(),
            Kept_TK.MoveToOuterDisposeScope(),
            ExpertCounts_E.MoveToOuterDisposeScope(),
            DroppedCount.MoveToOuterDisposeScope());

    // Sorting expert·P + position makes every key different, so that an unstable sort is stable.
    private static Tensor SortStable(Tensor ids_P)
    {
        var pairs = ids_P.shape[0];
        var keys_P = ids_P.Times(pairs).Plus(Range(pairs, int64, ids_P.device));
        return keys_P.sort().Values.Modulo(Math.Max(pairs, 1));
    }

    private static Tensor TokensByLargestGate(Tensor gates_TK) =>
        (-gates_TK.detach().amax([1])).sort(dim: 0, descending: false, stable: true).Indices;

    // All first choices of the tokens in their given order, then all second ones.
    private static Tensor PairsByChoice(Tensor tokens_T, long choices)
    {
        var choice_K1 = Range(choices, int64, tokens_T.device).unsqueeze(1);
        return tokens_T.unsqueeze(0).Times(choices).Plus(choice_K1).flatten();   // (K, T) -> (P)
    }
}

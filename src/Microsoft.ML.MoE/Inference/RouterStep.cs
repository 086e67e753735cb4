// How tokens choose experts, and the rows that the experts compute: what TopKRouter and DispatchPlan define.
//
// Axes: T = tokens, D = model width, E = experts, K = experts chosen per token.

using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Inference;

/// <summary>A router in evaluation.</summary>
/// <param name="scores">D to E.</param>
/// <param name="options">Choices, and whether gates are renormalised.</param>
/// <param name="capacity">Limit of tokens per expert within an item; null for none.</param>
internal sealed unsafe class RouterStep(LinearStep scores, TopKRouterOptions options, ExpertCapacity? capacity)
{
    private readonly int experts = options.Experts;
    private readonly int choices = options.ExpertsPerToken;

    /// <summary>Whether experts have few places.</summary>
    public bool HasCapacity => capacity is not null;

    /// <summary>A router with its weights as they are now.</summary>
    public static RouterStep Of(TopKRouter router, ExpertCapacity? capacity) =>
        new(LinearStep.Of(router.Weight_ED, null), router.Options, capacity);

    /// <summary>Routes tokens.</summary>
    /// <param name="workspace">Gives the memory of the result.</param>
    /// <param name="x">(T, D).</param>
    /// <param name="tokens">T.</param>
    /// <param name="items">Items that they are of.</param>
    public MixtureRoute Route(Workspace workspace, float* x, int tokens, int items)
    {
        var pairs = (long)tokens * choices;
        var route = new MixtureRoute(
            tokens,
            choices,
            workspace.Integers(pairs),
            workspace.Floats(pairs),
            workspace.Integers(experts),
            workspace.Longs(pairs),
            workspace.Integers(pairs));
        var mark = workspace.Mark();
        var probabilities = Probabilities(workspace, x, tokens);
        for (var token = 0; token < tokens; token++)
            Choose(probabilities + ((nint)token * experts), route.Ids + (token * choices), route.Gates + (token * choices));
        Renormalize(route.Gates, tokens);
        Place(workspace, route, items);
        workspace.Release(mark);
        return route;
    }

    /// <summary>The rows of an earlier call with the weights that these tokens give to their experts.</summary>
    /// <inheritdoc cref="Route"/>
    public MixtureRoute Weigh(Workspace workspace, float* x, MixtureRoute route)
    {
        var gates = workspace.Floats((long)route.Tokens * choices);
        var mark = workspace.Mark();
        var probabilities = Probabilities(workspace, x, route.Tokens);
        for (var pair = 0; pair < route.Tokens * choices; pair++)
            gates[pair] = probabilities[((nint)(pair / choices) * experts) + route.Ids[pair]];
        Renormalize(gates, route.Tokens);
        workspace.Release(mark);
        return route.WithGates(gates);
    }

    private float* Probabilities(Workspace workspace, float* x, int tokens)
    {
        var probabilities = workspace.Floats((long)tokens * experts);
        scores.Apply(workspace, new(x, scores.Inputs), tokens, probabilities, experts);
        for (var token = 0; token < tokens; token++)
            Softmax.Apply(probabilities + ((nint)token * experts), experts);
        return probabilities;
    }

    // The K largest in descending order; of equal ones the first.
    private void Choose(float* probabilities, int* ids, float* gates)
    {
        for (var length = 0; length < choices; length++)
        {
            var best = -1;
            for (var e = 0; e < experts; e++)
            {
                if (!new ReadOnlySpan<int>(ids, length).Contains(e) && (best < 0 || probabilities[e] > probabilities[best]))
                    best = e;
            }
            (ids[length], gates[length]) = (best, probabilities[best]);
        }
    }

    private void Renormalize(float* gates, int tokens)
    {
        if (!options.RenormalizeGates)
            return;
        for (var token = 0; token < tokens; token++, gates += choices)
        {
            var sum = 0f;
            for (var k = 0; k < choices; k++)
                sum += gates[k];
            for (var k = 0; k < choices; k++)
                gates[k] /= sum;
        }
    }

    // A counting sort of the pairs that find a place.
    private void Place(Workspace workspace, MixtureRoute route, int items)
    {
        var (tokens, pairs) = (route.Tokens, route.Tokens * choices);
        for (var pair = 0; pair < pairs; pair++)
            route.RowOfPair[pair] = 0;
        if (capacity is not null)
            Drop(workspace, route, items);

        var next = workspace.Integers(experts);
        new Span<int>(next, experts).Clear();
        for (var pair = 0; pair < pairs; pair++)
            next[route.Ids[pair]] += route.RowOfPair[pair] < 0 ? 0 : 1;
        var rows = 0;
        for (var e = 0; e < experts; e++)
        {
            var first = rows;
            rows += next[e];
            (next[e], route.RowEnds[e]) = (first, rows);
        }
        for (var token = 0; token < tokens; token++)
        {
            for (var pair = token * choices; pair < (token + 1) * choices; pair++)
            {
                if (route.RowOfPair[pair] < 0)
                    continue;
                var row = next[route.Ids[pair]]++;
                (route.RowOfPair[pair], route.TokenOfRow[row]) = (row, token);
            }
        }
    }

    // −1 for the pairs that find no place with their expert: those that ask for it last within their item.
    private void Drop(Workspace workspace, MixtureRoute route, int items)
    {
        var tokensOfItem = route.Tokens / items;
        var places = capacity!.Slots(tokensOfItem, experts, choices);
        var taken = workspace.Integers(experts);
        var order = workspace.Integers(tokensOfItem);
        var gates = route.Gates;
        for (var item = 0; item < items; item++)
        {
            var first = item * tokensOfItem;
            new Span<int>(taken, experts).Clear();
            for (var token = 0; token < tokensOfItem; token++)
                order[token] = first + token;
            if (capacity.Priority == CapacityPriority.TokenOrder)
            {
                for (var pair = first * choices; pair < (first + tokensOfItem) * choices; pair++)
                    Ask(pair);
                continue;
            }
            if (capacity.Priority == CapacityPriority.LargestGate)
            {
                // Of equal ones the first token: by the gate, then by the place.
                new Span<int>(order, tokensOfItem).Sort((a, b) =>
                    gates[a * choices] != gates[b * choices] ? gates[b * choices].CompareTo(gates[a * choices]) : a - b);
            }
            for (var choice = 0; choice < choices; choice++)
            {
                for (var turn = 0; turn < tokensOfItem; turn++)
                    Ask((order[turn] * choices) + choice);
            }
        }

        void Ask(int pair)
        {
            if (taken[route.Ids[pair]]++ >= places)
                route.RowOfPair[pair] = -1;
        }
    }
}

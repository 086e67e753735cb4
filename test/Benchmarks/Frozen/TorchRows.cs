namespace Benchmarks.Frozen;

/// <summary>The rows that experts compute, sorted by expert.</summary>
/// <param name="Tokens">For every row its token.</param>
/// <param name="Pairs">For every row its pair: choice p mod K of token p div K.</param>
/// <param name="Sizes">Rows of each expert.</param>
/// <param name="Chosen">How often each was chosen, kept or not.</param>
internal sealed record TorchRows(long[] Tokens, long[] Pairs, long[] Sizes, long[] Chosen)
{
    /// <summary>Sorts pairs by counting: a few microseconds, where sorting by libtorch's operators takes ten calls.</summary>
    /// <param name="ids">The expert of every pair.</param>
    /// <param name="choices">K.</param>
    /// <param name="experts">E.</param>
    /// <param name="places">Pairs that an expert accepts, the first that ask.</param>
    public static TorchRows Sort(long[] ids, int choices, int experts, long places)
    {
        var chosen = new long[experts];
        foreach (var id in ids)
            chosen[id]++;
        var sizes = Array.ConvertAll(chosen, count => Math.Min(count, places));
        var (next, end) = (new long[experts], new long[experts]);
        for (var e = 0; e < experts; e++)
        {
            next[e] = e == 0 ? 0 : end[e - 1];
            end[e] = next[e] + sizes[e];
        }

        var (tokens, pairs) = (new long[end[^1]], new long[end[^1]]);
        for (var pair = 0; pair < ids.Length; pair++)
        {
            var expert = ids[pair];
            if (next[expert] == end[expert])
                continue;
            (tokens[next[expert]], pairs[next[expert]]) = (pair / choices, pair);
            next[expert]++;
        }

        return new TorchRows(tokens, pairs, sizes, chosen);
    }
}

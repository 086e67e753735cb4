namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// BLEU (Papineni et al., ACL 2002): how many of a text's word sequences its references have too, over a corpus, without smoothing. Words
/// are runs of letters and digits; case does not count.
/// </summary>
public static class Bleu
{
    /// <summary>BLEU of texts.</summary>
    /// <param name="candidates">The texts.</param>
    /// <param name="references">At least one reference for each.</param>
    /// <param name="order">The longest word sequences that count, at least 1; 4 is usual.</param>
    /// <returns>exp(mean of ln pₙ) · min(1, exp(1 − r/c)): pₙ is the part of the candidates' n-grams that a reference has, each as often as
    /// the reference with most of it; c the candidates' words, r those of the references nearest in length. 0 where some pₙ is 0.</returns>
    /// <exception cref="ArgumentException">There are not as many references as candidates, or a candidate has none, or the order is below
    /// 1.</exception>
    public static double Corpus(IReadOnlyList<string> candidates, IReadOnlyList<IReadOnlyList<string>> references, int order)
    {
        ArgumentNullException.ThrowIfNull(candidates);
        ArgumentNullException.ThrowIfNull(references);
        Runtime.OptionChecks.AtLeast(1, order, nameof(order));
        if (candidates.Count != references.Count || references.Any(all => all.Count == 0))
            throw new ArgumentException(
                $"There are {candidates.Count} candidates and {references.Count} lists of references; as many are wanted, none of them "
                    + "empty.",
                nameof(references));

        var (found, all) = (new long[order], new long[order]);
        var (candidateWords, referenceWords) = (0L, 0L);
        foreach (var (candidate, texts) in candidates.Zip(references))
        {
            var words = Words(candidate);
            var others = texts.Select(Words).ToArray();
            candidateWords += words.Length;
            referenceWords += others
                .Select(other => other.Length)
                .OrderBy(length => Math.Abs(length - words.Length))
                .ThenBy(length => length)
                .First();
            for (var n = 1; n <= order; n++)
            {
                var most = new Dictionary<string, int>();
                foreach (var (gram, count) in others.SelectMany(other => Count(other, n)))
                    most[gram] = Math.Max(count, most.GetValueOrDefault(gram));
                foreach (var (gram, count) in Count(words, n))
                {
                    found[n - 1] += Math.Min(count, most.GetValueOrDefault(gram));
                    all[n - 1] += count;
                }
            }
        }
        if (found.Contains(0))
            return 0;
        var precision = Math.Exp(found.Zip(all, (right, count) => Math.Log((double)right / count)).Average());
        return precision * Math.Min(1, Math.Exp(1 - ((double)referenceWords / candidateWords)));
    }

    private static Dictionary<string, int> Count(string[] words, int n) =>
        Enumerable
            .Range(0, Math.Max(0, words.Length - n + 1))
            .Select(start => string.Join(' ', words, start, n))
            .CountBy(gram => gram)
            .ToDictionary();

    private static string[] Words(string text)
    {
        var letters = text.Select(letter => char.IsLetterOrDigit(letter) ? char.ToLowerInvariant(letter) : ' ').ToArray();
        return new string(letters).Split(' ', StringSplitOptions.RemoveEmptyEntries);
    }
}

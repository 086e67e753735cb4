using System.Numerics;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How often what belongs together is found among the nearest.</summary>
/// <param name="Pictures">Pictures, each looked for among all of them.</param>
/// <param name="Texts">Texts, each looked for among all of them.</param>
/// <param name="TextRecall">Of the pictures, how many find a text of theirs.</param>
/// <param name="PictureRecall">Of the texts, how many find a picture of theirs.</param>
public sealed record RetrievalMetrics(int Pictures, int Texts, RetrievalRecall TextRecall, RetrievalRecall PictureRecall)
{
    /// <summary>Measures representations.</summary>
    /// <param name="pictures">The representations of pictures.</param>
    /// <param name="texts">The representations of texts.</param>
    /// <param name="pairs">Which belong together: numbers of pictures and texts.</param>
    internal static RetrievalMetrics Measure(float[][] pictures, float[][] texts, IReadOnlyCollection<(int Picture, int Text)> pairs)
    {
        var ofPictures = Ranks(pictures, texts, pairs.ToLookup(pair => pair.Picture, pair => pair.Text));
        var ofTexts = Ranks(texts, pictures, pairs.ToLookup(pair => pair.Text, pair => pair.Picture));
        return new(pictures.Length, texts.Length, Recall(ofPictures), Recall(ofTexts));
    }

    private static RetrievalRecall Recall(int[] ranks)
    {
        return new(Within(1), Within(5), Within(10));

        double Within(int nearest) => ranks.Count(rank => rank < nearest) / (double)ranks.Length;
    }

    // For each query how many wrong candidates are at least as near as the nearest right one: what a model that calls everything alike does
    // not pass for.
    private static int[] Ranks(float[][] queries, float[][] candidates, ILookup<int, int> right) =>
        Array.ConvertAll(Enumerable.Range(0, queries.Length).ToArray(), query =>
        {
            var scores = Array.ConvertAll(candidates, candidate => Dot(queries[query], candidate));
            var owned = right[query].ToHashSet();
            var best = owned.Max(candidate => scores[candidate]);
            return Enumerable.Range(0, scores.Length).Count(candidate => !owned.Contains(candidate) && scores[candidate] >= best);
        });

    private static float Dot(float[] one, float[] other)
    {
        var (sum, place) = (0f, 0);
        for (; place <= one.Length - Vector<float>.Count; place += Vector<float>.Count)
            sum += Vector.Dot(new Vector<float>(one, place), new Vector<float>(other, place));
        for (; place < one.Length; place++)
            sum += one[place] * other[place];
        return sum;
    }
}

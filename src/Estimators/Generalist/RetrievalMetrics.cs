using System.Numerics;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How often what belongs together is found among the nearest.</summary>
/// <param name="Pictures">Pictures, each looked for among all of them.</param>
/// <param name="Texts">Texts, each looked for among all of them.</param>
/// <param name="TextRecallAt1">The part of the pictures whose nearest text is one of theirs.</param>
/// <param name="TextRecallAt5">The part of the pictures that have a text of theirs among the nearest 5.</param>
/// <param name="TextRecallAt10">The part of the pictures that have a text of theirs among the nearest 10.</param>
/// <param name="PictureRecallAt1">The part of the texts whose nearest picture is one of theirs.</param>
/// <param name="PictureRecallAt5">The part of the texts that have a picture of theirs among the nearest 5.</param>
/// <param name="PictureRecallAt10">The part of the texts that have a picture of theirs among the nearest 10.</param>
public sealed record RetrievalMetrics(
    int Pictures,
    int Texts,
    double TextRecallAt1,
    double TextRecallAt5,
    double TextRecallAt10,
    double PictureRecallAt1,
    double PictureRecallAt5,
    double PictureRecallAt10)
{
    /// <summary>Measures representations.</summary>
    /// <param name="pictures">The representations of pictures.</param>
    /// <param name="texts">The representations of texts.</param>
    /// <param name="pairs">Which belong together: numbers of pictures and texts.</param>
    internal static RetrievalMetrics Measure(float[][] pictures, float[][] texts, IReadOnlyCollection<(int Picture, int Text)> pairs)
    {
        var ofPictures = Ranks(pictures, texts, pairs.ToLookup(pair => pair.Picture, pair => pair.Text));
        var ofTexts = Ranks(texts, pictures, pairs.ToLookup(pair => pair.Text, pair => pair.Picture));
        return new(
            pictures.Length,
            texts.Length,
            Recall(ofPictures, 1),
            Recall(ofPictures, 5),
            Recall(ofPictures, 10),
            Recall(ofTexts, 1),
            Recall(ofTexts, 5),
            Recall(ofTexts, 10));
    }

    private static double Recall(int[] ranks, int within) => ranks.Count(rank => rank < within) / (double)ranks.Length;

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

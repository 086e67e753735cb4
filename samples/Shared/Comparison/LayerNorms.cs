using Microsoft.ML.MoE.Models;

namespace Samples.Comparison;

/// <summary>
/// How much the LayerNorms before the feed-forward layers differ from block to block (WideNet, arXiv 2107.11817, equation 9).
/// </summary>
internal static class LayerNorms
{
    // The list of these LayerNorms in a WideNet and in a ViT.
    private static readonly string[] Lists = ["mixtureNorms.", "feedForwardNorms."];

    /// <summary>
    /// The mean of |γᵢⱼ − γₘₙ| over all elements i of all blocks' gains and all elements m of the other blocks' gains. The indices of the
    /// printed equation are garbled; this is how we read it.
    /// </summary>
    /// <returns>The diversity, or null where the model has one LayerNorm for all blocks.</returns>
    public static double? Diversity(ImageClassifier model)
    {
        var gains = model
            .named_parameters()
            .Where(named =>
                Array.Exists(Lists, list => named.name.StartsWith(list, StringComparison.Ordinal))
                && named.name.EndsWith(".weight", StringComparison.Ordinal))
            .Select(named => named.parameter.detach().cpu().data<float>().ToArray())
            .ToArray();
        return gains.Length < 2 ? null : Diversity(gains);
    }

    internal static double Diversity(float[][] gains)
    {
        double sum = 0;
        long pairs = 0;
        for (var j = 0; j < gains.Length; j++)
        {
            for (var n = 0; n < gains.Length; n++)
            {
                if (n == j)
                    continue;
                sum += gains[j].Sum(mine => gains[n].Sum(theirs => Math.Abs((double)mine - theirs)));
                pairs += (long)gains[j].Length * gains[n].Length;
            }
        }
        return sum / pairs;
    }
}

using System.Text;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Cuts the last part off the texts of a training before they are tokens: a vocabulary that is learned must not have seen it.
/// </summary>
internal static class TextSplit
{
    /// <summary>The first texts and the last, by characters (Unicode scalar values); one of them may be cut in two.</summary>
    /// <param name="texts">The texts; empty ones stay in the first part, which reports them.</param>
    /// <param name="fraction">What goes into the last part, above 0 to below 1; at least one character does.</param>
    /// <exception cref="InvalidOperationException">Nothing is left to train on.</exception>
    public static (List<string> First, List<string> Last) Cut(IReadOnlyList<string> texts, double fraction)
    {
        var all = texts.Sum(text => (long)text.EnumerateRunes().Count());
        var left = all - Math.Max(1, (long)Math.Round(all * fraction));
        if (left < 1)
            throw new InvalidOperationException(
                $"{nameof(PeerLanguageModel.Options.ValidationFraction)} is {fraction}, which leaves nothing of {all:n0} characters to "
                    + "train on.");

        var (first, last) = (new List<string>(), new List<string>());
        foreach (var text in texts)
        {
            var place = 0;
            foreach (var character in text.EnumerateRunes())
            {
                if (left == 0)
                    break;
                place += character.Utf16SequenceLength;
                left--;
            }
            if (place > 0 || text.Length == 0)
                first.Add(text[..place]);
            if (place < text.Length)
                last.Add(text[place..]);
        }
        return (first, last);
    }
}

using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Learns word pieces from texts: the most frequent words whole, and every character that occurs, alone and within a word, so that other
/// words come apart into characters. The texts are read as a <see cref="WordPieceTokenizer"/> without capitals reads them.
/// </summary>
internal static partial class WordPieceVocabulary
{
    private const int FewestOccurrences = 2;
    private const int MostCharacters = 2000;   // more are of scripts without spaces, whose rare signs are read as unknown

    private static readonly string[] Special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];

    /// <summary>The pieces, one a line, as UTF-8.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="size">The most pieces; those of characters come first.</param>
    /// <param name="cancellationToken">Stops it.</param>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static byte[] Learn(IEnumerable<string> texts, int size, CancellationToken cancellationToken)
    {
        var words = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (var text in texts)
        {
            cancellationToken.ThrowIfCancellationRequested();
            foreach (Match word in Word.Matches(Plain(text)))
                words[word.Value] = words.GetValueOrDefault(word.Value) + 1;
        }
        var ordered = words.OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key, StringComparer.Ordinal).ToArray();
        var characters = ordered
            .SelectMany(pair => pair.Key.EnumerateRunes().Select(rune => (Rune: rune.ToString(), pair.Value)))
            .GroupBy(each => each.Rune)
            .OrderByDescending(group => group.Sum(each => (long)each.Value))
            .ThenBy(group => group.Key, StringComparer.Ordinal)
            .Take(MostCharacters)
            .Select(group => group.Key)
            .ToArray();
        var pieces = Special
            .Concat(characters)
            .Concat(characters.Select(character => $"##{character}"))
            .Concat(ordered.Where(pair => pair.Value >= FewestOccurrences).Select(pair => pair.Key))
            .Distinct(StringComparer.Ordinal)
            .Take(Math.Max(size, Special.Length + (2 * characters.Length)));
        return Encoding.UTF8.GetBytes(string.Concat(pieces.Select(piece => piece + "\n")));
    }

    // Small letters without accents.
    private static string Plain(string text) =>
        string.Concat(
            TextTokenizer.Unicode(text).ToLowerInvariant().Normalize(NormalizationForm.FormD)
                .EnumerateRunes()
                .Where(rune => Rune.GetUnicodeCategory(rune) is not (UnicodeCategory.NonSpacingMark or UnicodeCategory.Control)
                    || Rune.IsWhiteSpace(rune)));

    [GeneratedRegex(@"[\p{L}\p{M}\p{N}]+|[^\s\p{L}\p{M}\p{N}]")]
    private static partial Regex Word { get; }
}

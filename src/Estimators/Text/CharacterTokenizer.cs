using System.Text;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Reads text character by character, a character being a Unicode scalar value: token 0 is the separator, token 1 what the vocabulary
/// lacks, then come the characters by code point. The text of token 1 is U+FFFD.
/// </summary>
internal sealed class CharacterTokenizer : TextTokenizer
{
    private const int Separator = 0;
    private const int Unknown = 1;
    private const int Specials = 2;

    private readonly Dictionary<Rune, int> ids = [];
    private readonly byte[][] bytes;

    /// <summary>Makes a tokenizer.</summary>
    /// <param name="characters">The characters, in any order; repeated ones count once.</param>
    /// <exception cref="ArgumentException">There is no character.</exception>
    public CharacterTokenizer(IEnumerable<Rune> characters)
    {
        ArgumentNullException.ThrowIfNull(characters);
        Rune[] sorted = [.. characters.Distinct().Order()];
        if (sorted.Length == 0)
            throw new ArgumentException("There is no character; a vocabulary needs at least one.", nameof(characters));

        Characters = sorted;
        bytes = [[], ToBytes(Rune.ReplacementChar), .. sorted.Select(ToBytes)];
        foreach (var character in sorted)
            ids.Add(character, ids.Count + Specials);
    }

    /// <summary>The characters that it knows, by code point.</summary>
    public IReadOnlyList<Rune> Characters { get; }

    /// <inheritdoc/>
    public override TokenizerKind Kind => TokenizerKind.Characters;

    /// <inheritdoc/>
    public override int VocabularySize => bytes.Length;

    /// <inheritdoc/>
    public override int SeparatorId => Separator;

    /// <inheritdoc/>
    public override int? UnknownId => Unknown;

    /// <summary>A tokenizer of the characters that texts have.</summary>
    /// <exception cref="InvalidOperationException">There is no character.</exception>
    internal static CharacterTokenizer Train(IEnumerable<string> texts, CancellationToken cancellationToken)
    {
        var characters = new HashSet<Rune>();
        foreach (var text in texts)
        {
            cancellationToken.ThrowIfCancellationRequested();
            characters.UnionWith(text.EnumerateRunes());   // half a surrogate pair comes out as U+FFFD, as when encoding
        }
        return characters.Count > 0
            ? new(characters)
            : throw new InvalidOperationException("The texts have no characters: a vocabulary needs at least one.");
    }

    /// <inheritdoc/>
    internal override TokenizerDocument Describe() => new() { Kind = Kind, Characters = string.Concat(Characters) };

    private protected override int[] EncodeCore(string text)
    {
        var tokens = new List<int>(text.Length);
        foreach (var character in text.EnumerateRunes())
            tokens.Add(ids.GetValueOrDefault(character, Unknown));
        return [.. tokens];
    }

    private protected override ReadOnlySpan<byte> GetBytesCore(int id) => bytes[id];

    private static byte[] ToBytes(Rune character) => Encoding.UTF8.GetBytes(character.ToString());
}

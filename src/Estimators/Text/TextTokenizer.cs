using System.Text;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Turns text into the tokens of a language model and back. Immutable; one serves any number of threads. Every token stands for some bytes
/// of UTF-8; the separator between documents stands for none, and no text encodes to it.
/// </summary>
public abstract class TextTokenizer
{
    private protected TextTokenizer()
    {
    }

    /// <summary>What the tokens are.</summary>
    public abstract TokenizerKind Kind { get; }

    /// <summary>Number of tokens, special ones included; ids are 0 to this − 1.</summary>
    public abstract int VocabularySize { get; }

    /// <summary>The token between two documents: every document is read after one, and generation ends with one.</summary>
    public abstract int SeparatorId { get; }

    /// <summary>The token of what the vocabulary lacks; null where it lacks nothing.</summary>
    public virtual int? UnknownId => null;

    /// <summary>The files that belong into a model zip besides the JSON description, by name.</summary>
    internal virtual IReadOnlyDictionary<string, byte[]> Files { get; } = new Dictionary<string, byte[]>();

    /// <summary>The tokens of a text. Half a surrogate pair on its own, which is no Unicode text, counts as U+FFFD.</summary>
    /// <param name="text">The text; null counts as empty.</param>
    /// <returns>The tokens, none for empty text.</returns>
    public int[] Encode(string? text) => string.IsNullOrEmpty(text) ? [] : EncodeCore(Unicode(text));

    /// <summary>The UTF-8 of a token: not always whole characters; empty for the separator.</summary>
    /// <param name="id">The token.</param>
    /// <returns>A new array.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such token.</exception>
    public byte[] GetBytes(int id) => BytesOf(id).ToArray();

    /// <summary>As <see cref="GetBytes"/>, without a copy.</summary>
    internal ReadOnlySpan<byte> BytesOf(int id)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(id);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(id, VocabularySize);
        return GetBytesCore(id);
    }

    /// <summary>The text of tokens. Bytes that are no UTF-8 become U+FFFD.</summary>
    /// <param name="ids">The tokens.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such token.</exception>
    public string Decode(IEnumerable<int> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        var bytes = new List<byte>();
        foreach (var id in ids)
            bytes.AddRange(BytesOf(id));
        return Encoding.UTF8.GetString([.. bytes]);
    }

    /// <summary>The text with what is not Unicode replaced as in <see cref="Encode"/>.</summary>
    internal static string Unicode(string text)
    {
        for (var i = 0; i < text.Length; i++)
        {
            if (!char.IsSurrogate(text[i]))
                continue;
            if (i + 1 < text.Length && char.IsSurrogatePair(text[i], text[i + 1]))
                i++;
            else
                return Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text));
        }
        return text;
    }

    /// <summary>The description for a model zip.</summary>
    internal abstract TokenizerDocument Describe();

    /// <inheritdoc cref="Encode"/>
    private protected abstract int[] EncodeCore(string text);

    /// <inheritdoc cref="GetBytes"/>
    private protected abstract ReadOnlySpan<byte> GetBytesCore(int id);
}

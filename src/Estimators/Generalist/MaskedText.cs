using System.Text;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A text with masks, and the tokens that are found for them. What stands between the masks stays as it is.</summary>
internal sealed class MaskedText
{
    private readonly TextTokenizer tokenizer;
    private readonly string text;
    private readonly string[] pieces;
    private readonly bool[] spaceBefore;
    private readonly List<int?> tokens = [];   // null for a mask that waits for its token
    private readonly List<int> masks = [];     // their places among the tokens
    private int answered;

    /// <summary>Takes a text apart.</summary>
    /// <param name="texts">The tokenizer, and whether its tokens begin with spaces.</param>
    /// <param name="mask">What stands for a token.</param>
    /// <param name="text">The text.</param>
    public MaskedText(GeneralistTexts texts, string mask, string text)
    {
        (tokenizer, this.text, pieces) = (texts.Tokenizer, text, text.Split(mask));
        spaceBefore = new bool[pieces.Length - 1];
        for (var piece = 0; piece < pieces.Length; piece++)
        {
            // Where a token that stands for a word has the space before it in it, the model has never seen that space on its own.
            var last = piece == pieces.Length - 1;
            var joined = !last && texts.TokensBeginWithSpaces && pieces[piece].EndsWith(' ');
            tokens.AddRange(tokenizer.Encode(joined ? pieces[piece][..^1] : pieces[piece]).Select(id => (int?)id));
            if (last)
                break;
            spaceBefore[piece] = joined;
            masks.Add(tokens.Count);
            tokens.Add(null);
        }
    }

    /// <summary>Whether a mask waits for its token.</summary>
    public bool IsOpen => answered < masks.Count;

    /// <summary>
    /// What the model reads to find the next tokens: all of the text, or as much of it around the next mask as it takes.
    /// </summary>
    /// <param name="most">Tokens that it takes, at least 1.</param>
    /// <returns>The tokens, null for a mask; and how many masks of it, from the first on, have enough behind them to be told.</returns>
    public (IReadOnlyList<int?> Tokens, int Asked) NextWindow(int most)
    {
        var next = masks[answered];
        // More of what follows than of what stands before: other masks are there.
        var start = Math.Clamp(next - (most / 4), 0, Math.Max(0, tokens.Count - most));
        var end = Math.Min(tokens.Count, start + most);
        var told = end == tokens.Count ? end : Math.Max(next + 1, start + (most * 3 / 4));
        return (tokens.GetRange(start, end - start), masks.Skip(answered).Count(place => place < told));
    }

    /// <summary>Takes the tokens of the next masks.</summary>
    public void Answer(IEnumerable<int> found)
    {
        foreach (var id in found)
            tokens[masks[answered++]] = id;
    }

    /// <summary>The text with the tokens that were found in place of the masks.</summary>
    public string Filled()
    {
        if (masks.Count == 0)
            return text;
        var bytes = new List<byte>();   // a character may be several tokens
        for (var piece = 0; piece < pieces.Length; piece++)
        {
            bytes.AddRange(Encoding.UTF8.GetBytes(pieces[piece]));
            if (piece == masks.Count)
                break;
            var token = tokenizer.BytesOf(tokens[masks[piece]]!.Value);
            bytes.AddRange(spaceBefore[piece] && token is [(byte)' ', _, ..] ? token[1..] : token);
        }
        return Encoding.UTF8.GetString([.. bytes]);
    }
}

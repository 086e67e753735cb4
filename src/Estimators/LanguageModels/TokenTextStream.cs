using System.Text;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Tokens become text as they come. A character is given out when all its bytes are there, and a text only when it can no longer be the
/// beginning of a stop string, so that what has been given out never has to be taken back.
/// </summary>
internal sealed class TokenTextStream(TextTokenizer tokenizer, IReadOnlyList<string> stopStrings)
{
    private readonly Decoder decoder = Encoding.UTF8.GetDecoder();
    private string held = "";

    /// <summary>Whether a stop string has come; nothing follows then.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Adds a token.</summary>
    /// <returns>The text that can be given out; often empty.</returns>
    public string Add(int token) => Take(Decode(tokenizer.BytesOf(token), flush: false), end: false);

    /// <summary>Ends the stream.</summary>
    /// <returns>What was held back; bytes that are no whole character become U+FFFD.</returns>
    public string End() => Stopped ? "" : Take(Decode([], flush: true), end: true);

    private string Decode(ReadOnlySpan<byte> bytes, bool flush)
    {
        var characters = new char[Encoding.UTF8.GetMaxCharCount(bytes.Length + 4)];   // up to four bytes wait in the decoder
        return new string(characters, 0, decoder.GetChars(bytes, characters, flush));
    }

    private string Take(string added, bool end)
    {
        held += added;
        var stop = stopStrings
            .Select(text => held.IndexOf(text, StringComparison.Ordinal))
            .Where(place => place >= 0)
            .DefaultIfEmpty(-1)
            .Min();
        if (stop >= 0)
        {
            Stopped = true;
            return held[..stop];
        }

        var ready = end ? held.Length : held.Length - LongestBeginning();
        var given = held[..ready];
        held = held[ready..];
        return given;
    }

    // How many of the last characters may be the beginning of a stop string.
    private int LongestBeginning()
    {
        for (var length = Math.Min(held.Length, stopStrings.Select(text => text.Length - 1).DefaultIfEmpty(0).Max()); length > 0; length--)
        {
            var tail = held.AsSpan(held.Length - length);
            foreach (var text in stopStrings)
            {
                if (text.Length > length && text.AsSpan(0, length).SequenceEqual(tail))
                    return length;
            }
        }
        return 0;
    }
}

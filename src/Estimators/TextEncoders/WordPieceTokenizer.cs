using System.Text;
using Microsoft.ML.Tokenizers;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Turns a text into the word pieces that a BERT reads, between its tokens for beginning and end.</summary>
internal sealed class WordPieceTokenizer
{
    /// <summary>The file of a checkpoint with the pieces, one a line.</summary>
    public const string FileName = "vocab.txt";

    private const int MostPiecesOfWord = 101;   // longer words are unknown

    private const int SpecialTokens = 2;   // of beginning and end
    private const int PairTokens = 3;

    private readonly BertTokenizer tokenizer;

    /// <summary>Makes a tokenizer.</summary>
    /// <param name="vocabulary">The pieces, one a line, as UTF-8.</param>
    /// <exception cref="InvalidDataException">They are no such pieces: the special ones are missing.</exception>
    public WordPieceTokenizer(byte[] vocabulary)
    {
        Vocabulary = vocabulary;
        var pieces = Encoding.UTF8.GetString(vocabulary).Split('\n');
        Size = pieces.Length - (pieces[^1].Length == 0 ? 1 : 0);
        try
        {
            // A vocabulary with capitals is of a model that sees them; where it has none, neither does the model see accents.
            var lowerCase = !pieces.Any(piece => !IsSpecial(piece) && piece.AsSpan().ContainsAnyInRange('A', 'Z'));
            using var stream = new MemoryStream(vocabulary);
            tokenizer = BertTokenizer.Create(
                stream, new BertOptions { LowerCaseBeforeTokenization = lowerCase, RemoveNonSpacingMarks = lowerCase });
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or KeyNotFoundException or InvalidDataException)
        {
            throw new InvalidDataException($"The {Size:n0} lines are no word pieces of a BERT: {e.Message}", e);
        }
    }

    /// <summary>Reads the pieces of a checkpoint.</summary>
    /// <exception cref="InvalidDataException">The folder has none, or they are no word pieces.</exception>
    public static WordPieceTokenizer FromFolder(string folder)
    {
        var path = Path.Combine(folder, FileName);
        return File.Exists(path)
            ? new(File.ReadAllBytes(path))
            : throw new InvalidDataException($"'{folder}' has no {FileName}: a tokenizer of word pieces is the one that is known.");
    }

    /// <summary>The pieces as they were given.</summary>
    public byte[] Vocabulary { get; }

    /// <summary>Number of pieces; tokens are from 0 to this − 1.</summary>
    public int Size { get; }

    /// <summary>The tokens of a text.</summary>
    /// <param name="text">The text; may be empty.</param>
    /// <param name="most">Tokens at most, at least 2: what comes after is cut off, the end stays.</param>
    /// <param name="isCut">Whether something was.</param>
    public int[] Encode(string text, int most, out bool isCut)
    {
        // More pieces than are wanted are not made of a long text. The tokenizer leaves out the whole word that does not fit: it has no
        // more pieces than these.
        var ids = tokenizer.EncodeToIds(text, most + MostPiecesOfWord, addSpecialTokens: true, out _, out _);
        isCut = ids.Count > most;
        return isCut ? [.. ids.Take(most - 1), tokenizer.SeparatorTokenId] : [.. ids];
    }

    /// <summary>The tokens of a pair of texts, each with an end.</summary>
    /// <param name="first">The first text.</param>
    /// <param name="second">The second text.</param>
    /// <param name="most">Tokens at most, at least 5: of the longer text the end is cut off until both fit.</param>
    /// <param name="secondStart">Where the second text begins among the tokens.</param>
    /// <param name="isCut">Whether something was cut off.</param>
    public int[] Encode(string first, string second, int most, out int secondStart, out bool isCut)
    {
        var room = most - PairTokens;
        var (one, other) = (Pieces(first, room), Pieces(second, room));
        isCut = one.Count + other.Count > room;
        var ofFirst = Math.Min(one.Count, Math.Max(room - other.Count, (room + 1) / 2));
        var ofSecond = Math.Min(other.Count, room - ofFirst);
        secondStart = ofFirst + 2;
        return
        [
            tokenizer.ClassificationTokenId, .. one.Take(ofFirst), tokenizer.SeparatorTokenId, .. other.Take(ofSecond),
            tokenizer.SeparatorTokenId,
        ];
    }

    /// <summary>Checks that a network knows the tokens.</summary>
    /// <exception cref="InvalidDataException">It has fewer, or reads too short texts.</exception>
    public void RequireKnownBy(Models.TextEncoderConfig encoder)
    {
        if (Size > encoder.VocabularySize)
            throw new InvalidDataException(
                $"The tokenizer has {Size:n0} tokens, but the network {encoder.VocabularySize:n0}: they do not belong together.");
        if (encoder.MaxTokens <= SpecialTokens)
            throw new InvalidDataException($"The network reads {encoder.MaxTokens} tokens; begin and end of a text take {SpecialTokens}.");
    }

    // "[CLS]", and "<S>" in the vocabularies of some models without capitals.
    private static bool IsSpecial(string piece) => piece.StartsWith('[') || piece.StartsWith('<');

    // A word more than there is room for tells that something has to be cut off.
    private IReadOnlyList<int> Pieces(string text, int room) =>
        tokenizer.EncodeToIds(text, room + MostPiecesOfWord, addSpecialTokens: false, out _, out _);
}

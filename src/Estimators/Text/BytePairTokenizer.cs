using System.Text;
using System.Text.Json;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.Tokenizers;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Byte pairs: text is cut into words
/// (<see href="https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf">GPT-2</see>'s
/// pattern), words into bytes, and neighbours are merged in the order in which the merges were learned. Knows every text.
/// </summary>
public sealed class BytePairTokenizer : TextTokenizer
{
    /// <summary>Name of the vocabulary's file.</summary>
    internal const string VocabularyFileName = "vocab.json";

    /// <summary>Name of the merges' file.</summary>
    internal const string MergesFileName = "merges.txt";

    private const string EndOfText = "<|endoftext|>";
    private const string VersionLine = "#version";
    private const string EndOfWord = "</w>";   // CLIP's mark

    // Text as it is, not as escapes, like other programs' files.
    private static readonly JsonSerializerOptions Json = new()
    {
        Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        TypeInfoResolver = JsonContracts.All,
    };

    private readonly BpeTokenizer tokenizer;
    private readonly byte[][] bytes;

    private BytePairTokenizer(TokenizerKind kind, IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<string> merges)
    {
        Kind = kind;
        Vocabulary = vocabulary;
        Merges = merges;
        SeparatorId = vocabulary.TryGetValue(EndOfText, out var endOfText) ? endOfText : vocabulary.Count;
        VocabularySize = Math.Max(vocabulary.Count, SeparatorId + 1);
        bytes = ReadBytes(vocabulary, VocabularySize);

        // The separator stays out: a text that spells it is a text like any other.
        tokenizer = BpeTokenizer.Create(new BpeOptions(vocabulary.Where(entry => entry.Key != EndOfText))
        {
            Merges = merges,
            ByteLevel = true,
            PreTokenizer = new RegexPreTokenizer(WordPattern.Gpt2, specialTokens: null),
        });
    }

    /// <summary>The tokens as their files write them (a visible character a byte) and their ids.</summary>
    internal IReadOnlyDictionary<string, int> Vocabulary { get; }

    /// <summary>The merges, the first to merge first: two tokens with a space between them.</summary>
    internal IReadOnlyList<string> Merges { get; }

    /// <inheritdoc/>
    public override TokenizerKind Kind { get; }

    /// <inheritdoc/>
    public override int VocabularySize { get; }

    /// <inheritdoc/>
    public override int SeparatorId { get; }

    /// <inheritdoc/>
    internal override IReadOnlyDictionary<string, byte[]> Files => new Dictionary<string, byte[]>
    {
        [VocabularyFileName] = JsonSerializer.SerializeToUtf8Bytes(Vocabulary.OrderBy(entry => entry.Value).ToDictionary(), Json),
        [MergesFileName] = Encoding.UTF8.GetBytes(string.Concat(Merges.Select(merge => merge + "\n"))),
    };

    /// <summary>
    /// Writes <c>vocab.json</c> and <c>merges.txt</c>, as <see cref="TokenizerOptions.BytePairFiles"/> and other programs read them.
    /// </summary>
    /// <param name="directory">Where to; made if it does not exist.</param>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void Save(string directory)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(directory);
        Directory.CreateDirectory(directory);
        foreach (var (name, content) in Files)
            AtomicFile.Write(Path.Combine(directory, name), path => File.WriteAllBytes(path, content));
    }

    /// <summary>Learns a tokenizer from texts.</summary>
    internal static BytePairTokenizer Train(IEnumerable<string> texts, int vocabularySize, CancellationToken cancellationToken)
    {
        var trained = BytePairTrainer.Run(texts, vocabularySize, cancellationToken);
        string[] tokens = [.. trained.Tokens.Select(token => string.Concat(token.Select(ByteCharacters.Of)))];
        return new(
            TokenizerKind.BytePairs, tokens.Select((token, id) => KeyValuePair.Create(token, id)).ToDictionary(),
            [.. trained.Merges.Select(merge => $"{tokens[merge.Left]} {tokens[merge.Right]}")]);
    }

    /// <summary>Reads a tokenizer's own files.</summary>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is not what it should be.</exception>
    internal static BytePairTokenizer Read(string vocabularyFile, string mergesFile)
    {
        var tokenizer = Parse(TokenizerKind.BytePairFiles, File.ReadAllBytes(vocabularyFile), File.ReadAllBytes(mergesFile));
        tokenizer.RequireNoMarks(vocabularyFile);
        return tokenizer;
    }

    /// <summary>Reads the contents of such files.</summary>
    /// <exception cref="InvalidDataException">They are not what they should be.</exception>
    internal static BytePairTokenizer Parse(TokenizerKind kind, byte[] vocabulary, byte[] merges)
    {
        Dictionary<string, int> ids;
        try
        {
            ids = JsonSerializer.Deserialize<Dictionary<string, int>>(vocabulary, Json)
                ?? throw new InvalidDataException("The vocabulary is empty.");
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"The vocabulary is not a JSON object of tokens and their ids: {exception.Message}", exception);
        }

        var present = ids.Values.ToHashSet();
        if (present.Count != ids.Count || !Enumerable.Range(0, ids.Count).All(present.Contains))
            throw new InvalidDataException($"The vocabulary has {ids.Count} tokens; their ids must be 0 to {ids.Count - 1}, each once.");

        var lines = Encoding.UTF8.GetString(merges).Split('\n').Select(line => line.TrimEnd('\r')).Where(line => line.Length > 0);
        string[] list = [.. lines.SkipWhile(line => line.StartsWith(VersionLine, StringComparison.Ordinal))];
        foreach (var merge in list)
        {
            if (merge.Split(' ') is not [var left, var right]
                || !ids.ContainsKey(left)
                || !ids.ContainsKey(right)
                || !ids.ContainsKey(left + right))
                throw new InvalidDataException(
                    $"The merge '{merge}' is not two tokens of the vocabulary with a space between them that together are a third.");
        }
        return new(kind, ids, list);
    }

    /// <inheritdoc/>
    internal override TokenizerDocument Describe() => new() { Kind = Kind };

    private protected override int[] EncodeCore(string text) => [.. tokenizer.EncodeToIds(text)];

    private protected override ReadOnlySpan<byte> GetBytesCore(int id) => bytes[id];

    // A vocabulary that marks the ends of words has tokens with the mark that no merge makes, from which the others grow. Text never has
    // them as it is cut here, so that words would come apart into letters. A vocabulary that has learned HTML makes such tokens of '<' and
    // '/'.
    private void RequireNoMarks(string vocabularyFile)
    {
        var made = Merges.Select(merge => merge.Replace(" ", "", StringComparison.Ordinal)).ToHashSet();
        var marked = Vocabulary
            .Keys.Where(token =>
                token.Length > EndOfWord.Length && token.EndsWith(EndOfWord, StringComparison.Ordinal) && !made.Contains(token))
            .Order(StringComparer.Ordinal)
            .ToArray();
        if (marked.Length > 0)
        {
            throw new InvalidDataException(
                $"The vocabulary '{vocabularyFile}' marks the end of a word with '{EndOfWord}', as CLIP's does: it has {marked.Length} "
                    + $"tokens such as '{marked[0]}' that no merge makes. "
                    + "GPT-2's format is wanted, in which a word begins with the space before it ('Ġ').");
        }
    }

    private static byte[][] ReadBytes(IReadOnlyDictionary<string, int> vocabulary, int size)
    {
        for (var value = 0; value < 256; value++)
        {
            if (!vocabulary.ContainsKey(ByteCharacters.Of((byte)value).ToString()))
                throw new InvalidDataException(
                    $"The vocabulary lacks the byte {value} ('{ByteCharacters.Of((byte)value)}'); it must have all 256.");
        }

        var bytes = new byte[size][];
        Array.Fill(bytes, []);
        foreach (var (token, id) in vocabulary)
        {
            if (token != EndOfText)
                bytes[id] = ByteCharacters.Read(token)
                    ?? throw new InvalidDataException(
                        $"The token '{token}' of the vocabulary is not written in the characters that stand for bytes.");
        }
        return bytes;
    }
}

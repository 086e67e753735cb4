using System.Globalization;
using System.IO.Compression;
using System.Reflection;
using System.Text;
using Microsoft.ML.Tokenizers;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A named Tiktoken encoding. The id after its last token is the separator.</summary>
internal sealed class TiktokenTextTokenizer : TextTokenizer
{
    /// <summary>Name of the vocabulary's file in a model zip.</summary>
    internal const string RanksFileName = "ranks.tiktoken";

    private const string CapacityLine = "Capacity:";

    private readonly byte[] ranks;
    private readonly byte[][] bytes;
    private readonly TiktokenTokenizer tokenizer;

    /// <summary>Makes a tokenizer.</summary>
    /// <param name="encoding">The name.</param>
    /// <param name="ranks">The vocabulary as Tiktoken's files have it: a line for each token, its bytes in base64 and its id.</param>
    /// <exception cref="ArgumentException">There is no such encoding.</exception>
    /// <exception cref="InvalidDataException">The vocabulary is not what it should be.</exception>
    internal TiktokenTextTokenizer(string encoding, byte[] ranks)
    {
        TiktokenEncodings.Require(encoding);
        Encoding = encoding;
        this.ranks = ranks;
        bytes = Read(ranks);
        using var stream = new MemoryStream(ranks, writable: false);
        tokenizer = TiktokenTokenizer.Create(
            stream, new RegexPreTokenizer(TiktokenEncodings.Pattern(encoding), specialTokens: null), normalizer: null);
    }

    /// <summary>Name of the encoding.</summary>
    public string Encoding { get; }

    /// <inheritdoc/>
    public override TokenizerKind Kind => TokenizerKind.Tiktoken;

    /// <inheritdoc/>
    public override int VocabularySize => bytes.Length + 1;

    /// <inheritdoc/>
    public override int SeparatorId => bytes.Length;

    /// <inheritdoc/>
    internal override IReadOnlyDictionary<string, byte[]> Files => new Dictionary<string, byte[]> { [RanksFileName] = ranks };

    /// <summary>Takes the vocabulary out of the package that has it.</summary>
    /// <exception cref="InvalidOperationException">The application does not have that package.</exception>
    internal static TiktokenTextTokenizer FromPackage(string encoding)
    {
        var package = TiktokenEncodings.Package(encoding);
        try
        {
            var assembly = Assembly.Load(package);
            var name = Array.Find(assembly.GetManifestResourceNames(), resource =>
                resource.EndsWith(".tiktoken.deflate", StringComparison.Ordinal)
            ) ?? throw new InvalidOperationException($"The package {package} holds no Tiktoken vocabulary; version 2.0.1 of it does.");
            using var lines = new StreamReader(
                new DeflateStream(assembly.GetManifestResourceStream(name)!, CompressionMode.Decompress), System.Text.Encoding.ASCII);
            return new(encoding, Unpack(lines.ReadToEnd()));
        }
        catch (FileNotFoundException exception)
        {
            throw new InvalidOperationException(
                $"The encoding {encoding} needs the package {package}: add it to the application's project.", exception);
        }
    }

    /// <inheritdoc/>
    internal override TokenizerDocument Describe() => new() { Kind = Kind, Encoding = Encoding };

    private protected override int[] EncodeCore(string text) => [.. tokenizer.EncodeToIds(text)];

    private protected override ReadOnlySpan<byte> GetBytesCore(int id) => id == SeparatorId ? [] : bytes[id];

    // The packages leave the ids out, which are the lines' numbers, and put a line with their count before them.
    private static byte[] Unpack(string packed)
    {
        var lines = packed
            .Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            .SkipWhile(line => line.StartsWith(CapacityLine, StringComparison.Ordinal));
        return System.Text.Encoding.ASCII.GetBytes(
            string.Concat(lines.Select((line, number) => string.Create(CultureInfo.InvariantCulture, $"{line.Split(' ')[0]} {number}\n"))));
    }

    private static byte[][] Read(byte[] ranks)
    {
        var tokens = new SortedDictionary<int, byte[]>();
        var lines = System.Text.Encoding.ASCII.GetString(ranks);
        foreach (var line in lines.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            try
            {
                if (line.Split(' ') is not [var token, var id]
                    || !tokens.TryAdd(int.Parse(id, CultureInfo.InvariantCulture), Convert.FromBase64String(token)))
                    throw new FormatException("it is not a token and an id of its own");
            }
            catch (Exception exception) when (exception is FormatException or OverflowException)
            {
                throw new InvalidDataException(
                    $"The line '{line}' of the Tiktoken vocabulary cannot be read: {exception.Message}", exception);
            }
        }

        if (tokens.Count == 0 || tokens.Keys.Last() != tokens.Count - 1 || tokens.Keys.First() != 0)
            throw new InvalidDataException(
                $"The Tiktoken vocabulary has {tokens.Count} tokens; their ids must be 0 to {tokens.Count - 1}.");
        if (tokens.Values.Count(token => token.Length == 1) != 256)
            throw new InvalidDataException("The Tiktoken vocabulary lacks some of the 256 bytes.");
        return [.. tokens.Values];
    }
}

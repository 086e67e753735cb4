using System.Text;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a model zip says about a tokenizer.</summary>
internal sealed record TokenizerDocument
{
    /// <summary>What the tokens are.</summary>
    public required TokenizerKind Kind { get; init; }

    /// <summary>The characters of a <see cref="CharacterTokenizer"/>.</summary>
    public string? Characters { get; init; }

    /// <summary>The name of a Tiktoken encoding.</summary>
    public string? Encoding { get; init; }

    /// <summary>Makes the tokenizer.</summary>
    /// <param name="readFile">Reads one of the tokenizer's files.</param>
    /// <exception cref="InvalidDataException">The description or a file is not valid.</exception>
    public TextTokenizer Open(Func<string, byte[]> readFile)
    {
        try
        {
            return Kind switch
            {
                TokenizerKind.Bytes => new ByteTokenizer(),
                TokenizerKind.Characters => new CharacterTokenizer((Characters ?? "").EnumerateRunes()),
                TokenizerKind.BytePairs or TokenizerKind.BytePairFiles => BytePairTokenizer.Parse(
                    Kind, readFile(BytePairTokenizer.VocabularyFileName), readFile(BytePairTokenizer.MergesFileName)),
                TokenizerKind.Tiktoken => new TiktokenTextTokenizer(Encoding ?? "", readFile(TiktokenTextTokenizer.RanksFileName)),
                _ => throw new InvalidDataException($"The kind of tokenizer {Kind} is not known."),
            };
        }
        catch (ArgumentException exception)
        {
            throw new InvalidDataException($"The tokenizer is not valid: {exception.Message}", exception);
        }
    }
}

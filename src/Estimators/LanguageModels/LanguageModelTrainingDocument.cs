using System.Diagnostics.CodeAnalysis;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a language model was trained.</summary>
internal sealed record LanguageModelTrainingDocument : TrainingDocument
{
    /// <summary>An empty one, to be filled.</summary>
    public LanguageModelTrainingDocument()
    {
    }

    [SetsRequiredMembers]
    private LanguageModelTrainingDocument(LanguageModelSummary training)
        : base(training, training.Training, training.Seed) =>
        (Documents, TrainingTokens, ValidationTokens, EmptyTexts) = (
            training.Documents, training.TrainingTokens, training.ValidationTokens, training.EmptyTexts);

    /// <summary>See <see cref="LanguageModelSummary.Documents"/>.</summary>
    public required int Documents { get; init; }

    /// <summary>See <see cref="LanguageModelSummary.TrainingTokens"/>.</summary>
    public required long TrainingTokens { get; init; }

    /// <summary>See <see cref="LanguageModelSummary.ValidationTokens"/>.</summary>
    public required long ValidationTokens { get; init; }

    /// <summary>See <see cref="LanguageModelSummary.EmptyTexts"/>.</summary>
    public required long EmptyTexts { get; init; }

    /// <summary>Writes a training; null for a model that was saved without one.</summary>
    public static byte[] ToBytes(LanguageModelSummary? training) =>
        Write(training is null ? null : new LanguageModelTrainingDocument(training));

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static LanguageModelSummary? FromBytes(ReadOnlySpan<byte> bytes) => Read<LanguageModelTrainingDocument>(bytes)?.ToSummary();

    private LanguageModelSummary ToSummary() => new(ToResult(), Documents, TrainingTokens, ValidationTokens, EmptyTexts, Seed)
    {
        Options = Options,
        Chosen = Chosen,
    };
}

using System.Diagnostics.CodeAnalysis;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a classifier of texts was trained.</summary>
internal sealed record TextTrainingDocument : TrainingDocument
{
    /// <summary>An empty one, to be filled.</summary>
    public TextTrainingDocument()
    {
    }

    [SetsRequiredMembers]
    private TextTrainingDocument(TextClassificationSummary training) : base(training, training.Training, training.Seed)
    {
        (TrainingTexts, ValidationTexts) = (training.TrainingTexts, training.ValidationTexts);
        (MissingLabels, EmptyTexts, CutTexts) = (training.MissingLabels, training.EmptyTexts, training.CutTexts);
    }

    /// <summary>See <see cref="TextClassificationSummary.TrainingTexts"/>.</summary>
    public required int TrainingTexts { get; init; }

    /// <summary>See <see cref="TextClassificationSummary.ValidationTexts"/>.</summary>
    public required int ValidationTexts { get; init; }

    /// <summary>See <see cref="TextClassificationSummary.MissingLabels"/>.</summary>
    public required long MissingLabels { get; init; }

    /// <summary>See <see cref="TextClassificationSummary.EmptyTexts"/>.</summary>
    public required long EmptyTexts { get; init; }

    /// <summary>See <see cref="TextClassificationSummary.CutTexts"/>.</summary>
    public required long CutTexts { get; init; }

    /// <summary>Writes a training.</summary>
    public static byte[] ToBytes(TextClassificationSummary? training) =>
        Write(training is null ? null : new TextTrainingDocument(training));

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static TextClassificationSummary? FromBytes(ReadOnlySpan<byte> bytes) => Read<TextTrainingDocument>(bytes)?.ToSummary();

    private TextClassificationSummary ToSummary() =>
        new(ToResult(), TrainingTexts, ValidationTexts, MissingLabels, EmptyTexts, CutTexts, Seed) { Options = Options, Chosen = Chosen };
}

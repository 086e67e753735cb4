using System.Diagnostics.CodeAnalysis;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How an image classifier was trained.</summary>
internal sealed record ImageTrainingDocument : TrainingDocument
{
    /// <summary>An empty one, to be filled.</summary>
    public ImageTrainingDocument()
    {
    }

    [SetsRequiredMembers]
    private ImageTrainingDocument(ImageClassificationSummary training) : base(training, training.Training, training.Seed)
    {
        (TrainingImages, ValidationImages, MissingLabels) = (training.TrainingImages, training.ValidationImages, training.MissingLabels);
        (UnreadableImages, CachedInMemory, Earlier) = (
            training.UnreadableImages,
            training.CachedInMemory,
            [.. training.Earlier.Select(earlier => new ImageTrainingDocument(earlier))]);
    }

    /// <summary>See <see cref="ImageClassificationSummary.TrainingImages"/>.</summary>
    public required int TrainingImages { get; init; }

    /// <summary>See <see cref="ImageClassificationSummary.ValidationImages"/>.</summary>
    public required int ValidationImages { get; init; }

    /// <summary>See <see cref="ImageClassificationSummary.MissingLabels"/>.</summary>
    public required long MissingLabels { get; init; }

    /// <summary>See <see cref="ImageClassificationSummary.UnreadableImages"/>.</summary>
    public required long UnreadableImages { get; init; }

    /// <summary>See <see cref="ImageClassificationSummary.CachedInMemory"/>.</summary>
    public required bool CachedInMemory { get; init; }

    /// <summary>See <see cref="ImageClassificationSummary.Earlier"/>.</summary>
    public IReadOnlyList<ImageTrainingDocument> Earlier { get; init; } = [];

    /// <summary>Writes a training; null for a model that was saved without one.</summary>
    public static byte[] ToBytes(ImageClassificationSummary? training) =>
        Write(training is null ? null : new ImageTrainingDocument(training));

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static ImageClassificationSummary? FromBytes(ReadOnlySpan<byte> bytes) => Read<ImageTrainingDocument>(bytes)?.ToSummary();

    private ImageClassificationSummary ToSummary() =>
        new(ToResult(), TrainingImages, ValidationImages, MissingLabels, UnreadableImages, CachedInMemory, Seed)
        {
            Options = Options,
            Chosen = Chosen,
            Earlier =
            [
                .. Earlier.Select(training =>
                    training?.ToSummary() ?? throw new InvalidDataException("The history of the training lacks an earlier training.")),
            ],
        };
}

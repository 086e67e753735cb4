using System.Diagnostics.CodeAnalysis;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a generalist was trained.</summary>
internal sealed record GeneralistTrainingDocument : TrainingDocument
{
    /// <summary>An empty one, to be filled.</summary>
    public GeneralistTrainingDocument()
    {
    }

    [SetsRequiredMembers]
    private GeneralistTrainingDocument(GeneralistSummary training)
        : base(training, training.Training, training.Seed) =>
        (Examples, UnusedRows, CutTexts, Earlier) = (
            training.Examples,
            training.UnusedRows,
            training.CutTexts,
            [.. training.Earlier.Select(earlier => new GeneralistTrainingDocument(earlier))]);

    /// <summary>See <see cref="GeneralistSummary.Examples"/>.</summary>
    public required IReadOnlyDictionary<string, int> Examples { get; init; }

    /// <summary>See <see cref="GeneralistSummary.UnusedRows"/>.</summary>
    public required long UnusedRows { get; init; }

    /// <summary>See <see cref="GeneralistSummary.CutTexts"/>.</summary>
    public required long CutTexts { get; init; }

    /// <summary>See <see cref="GeneralistSummary.Earlier"/>.</summary>
    public IReadOnlyList<GeneralistTrainingDocument> Earlier { get; init; } = [];

    /// <summary>Writes a training; null for a model that was saved without one.</summary>
    public static byte[] ToBytes(GeneralistSummary? training) => Write(training is null ? null : new GeneralistTrainingDocument(training));

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static GeneralistSummary? FromBytes(ReadOnlySpan<byte> bytes) => Read<GeneralistTrainingDocument>(bytes)?.ToSummary();

    private GeneralistSummary ToSummary() =>
        new(ToResult(), Examples, UnusedRows, CutTexts, Seed)
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

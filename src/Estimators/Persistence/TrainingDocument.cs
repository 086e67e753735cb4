using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How the model in a zip was trained: the file <see cref="ClassifierFormat.TrainingEntry"/>.</summary>
internal sealed record TrainingDocument
{
    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        TypeInfoResolver = new DefaultJsonTypeInfoResolver { Modifiers = { LeaveOutWhatIsComputed } },
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,   // a validation loss may be NaN
        Converters = { new JsonStringEnumConverter() },
    };

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

    /// <summary>See <see cref="ImageClassificationSummary.Seed"/>.</summary>
    public required int Seed { get; init; }

    /// <summary>See <see cref="TrainingResult.Steps"/>.</summary>
    public required int Steps { get; init; }

    /// <summary>See <see cref="TrainingResult.StopReason"/>.</summary>
    public required StopReason StopReason { get; init; }

    /// <summary>Number of the best epoch, from 1; null without validation.</summary>
    public int? BestEpoch { get; init; }

    /// <summary>See <see cref="TrainingResult.BestWeightsRestored"/>.</summary>
    public required bool BestWeightsRestored { get; init; }

    /// <summary>See <see cref="TrainingResult.Epochs"/>.</summary>
    public required IReadOnlyList<EpochSummary> Epochs { get; init; }

    /// <summary>See <see cref="ImageClassificationSummary.Earlier"/>.</summary>
    public IReadOnlyList<TrainingDocument> Earlier { get; init; } = [];

    /// <summary>Writes a training; null for a model that was saved without one.</summary>
    public static byte[] ToBytes(ImageClassificationSummary? training) => JsonSerializer.SerializeToUtf8Bytes(training is null ? null : From(training), Json);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static ImageClassificationSummary? FromBytes(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return JsonSerializer.Deserialize<TrainingDocument>(bytes, Json)?.ToSummary();
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException)
        {
            throw new InvalidDataException($"The history of the training cannot be read: {exception.Message}", exception);
        }
    }

    private static void LeaveOutWhatIsComputed(JsonTypeInfo type)
    {
        for (var i = type.Properties.Count - 1; i >= 0; i--)
        {
            if (type.Properties[i].Set is null)
                type.Properties.RemoveAt(i);
        }
    }

    private static TrainingDocument From(ImageClassificationSummary training) => new()
    {
        TrainingImages = training.TrainingImages,
        ValidationImages = training.ValidationImages,
        MissingLabels = training.MissingLabels,
        UnreadableImages = training.UnreadableImages,
        CachedInMemory = training.CachedInMemory,
        Seed = training.Seed,
        Steps = training.Training.Steps,
        StopReason = training.Training.StopReason,
        BestEpoch = training.Training.BestEpoch?.Epoch,
        BestWeightsRestored = training.Training.BestWeightsRestored,
        Epochs = training.Training.Epochs,
        Earlier = [.. training.Earlier.Select(From)],
    };

    private ImageClassificationSummary ToSummary()
    {
        foreach (var epoch in Epochs)
        {
            if (epoch?.Averages is null)
                throw new InvalidDataException("The history of the training has an epoch without its averages.");
            if (epoch.Averages.ExpertLoad is { } layers && layers.Any(layer => layer?.Counts is null))
                throw new InvalidDataException($"The history of the training has an expert load without counts in epoch {epoch.Epoch}.");
        }
        var best = BestEpoch is { } number
            ? Epochs.FirstOrDefault(epoch => epoch.Epoch == number) ?? throw new InvalidDataException($"The history of the training has no epoch {number}, which is said to be the best.")
            : null;
        return new(new TrainingResult(Epochs, Steps, StopReason, best, BestWeightsRestored), TrainingImages, ValidationImages, MissingLabels, UnreadableImages, CachedInMemory, Seed)
        {
            Earlier = [.. Earlier.Select(training => training?.ToSummary() ?? throw new InvalidDataException("The history of the training lacks an earlier training."))],
        };
    }
}

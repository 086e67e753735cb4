using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How the model in a zip was trained: the file <see cref="Entry"/>, of which each kind of model adds its own.</summary>
internal abstract record TrainingDocument
{
    /// <summary>The entry in a model zip.</summary>
    public const string Entry = "training.json";

    private static readonly JsonSerializerOptions Json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        TypeInfoResolver = JsonContracts.Settable,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,   // a validation loss may be NaN
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>An empty one, to be filled.</summary>
    private protected TrainingDocument()
    {
    }

    /// <summary>Describes a training.</summary>
    [SetsRequiredMembers]
    private protected TrainingDocument(TrainingSummary summary, TrainingResult training, int seed)
    {
        (Seed, Steps, StopReason, BestEpoch) = (seed, training.Steps, training.StopReason, training.BestEpoch?.Epoch);
        (BestWeightsRestored, Epochs, Options, Chosen) = (training.BestWeightsRestored, training.Epochs, summary.Options, summary.Chosen);
    }

    /// <summary>The seed that repeats it.</summary>
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

    /// <summary>See <see cref="TrainingSummary.Options"/>.</summary>
    public IReadOnlyDictionary<string, string> Options { get; init; } = new Dictionary<string, string>();

    /// <summary>See <see cref="TrainingSummary.Chosen"/>.</summary>
    public IReadOnlyList<ChosenOption> Chosen { get; init; } = [];

    /// <summary>Writes a document; null for a model that was saved without one.</summary>
    private protected static byte[] Write<T>(T? document) where T : TrainingDocument => JsonSerializer.SerializeToUtf8Bytes(document, Json);

    /// <summary>Reads what <see cref="Write{T}"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    private protected static T? Read<T>(ReadOnlySpan<byte> bytes) where T : TrainingDocument
    {
        try
        {
            return JsonSerializer.Deserialize<T>(bytes, Json);
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException)
        {
            throw new InvalidDataException($"The history of the training cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>What the training loop had returned.</summary>
    /// <exception cref="InvalidDataException">The document contradicts itself.</exception>
    private protected TrainingResult ToResult()
    {
        foreach (var epoch in Epochs)
        {
            if (epoch?.Averages is null)
                throw new InvalidDataException("The history of the training has an epoch without its averages.");
            if (epoch.Averages.ExpertLoad is { } layers && layers.Any(layer => layer?.Counts is null))
                throw new InvalidDataException($"The history of the training has an expert load without counts in epoch {epoch.Epoch}.");
        }
        var best = BestEpoch is { } number
            ? Epochs.FirstOrDefault(epoch => epoch.Epoch == number)
                ?? throw new InvalidDataException($"The history of the training has no epoch {number}, which is said to be the best.")
            : null;
        return new TrainingResult(Epochs, Steps, StopReason, best, BestWeightsRestored);
    }
}

using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What a model zip says about an image classifier besides its weights: the file <see cref="ClassifierFormat.DocumentEntry"/>.
/// </summary>
internal sealed record ClassifierDocument
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        TypeInfoResolver = JsonContracts.All,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>The column that images are read from.</summary>
    public required string FeatureColumn { get; init; }

    /// <summary>The column that labels were read from.</summary>
    public required string LabelColumn { get; init; }

    /// <summary>The column that receives class probabilities.</summary>
    public required string ScoreColumn { get; init; }

    /// <summary>The column that receives the predicted label.</summary>
    public required string PredictedLabelColumn { get; init; }

    /// <summary>The column that receives the pooled vector, or null.</summary>
    public string? EmbeddingColumn { get; init; }

    /// <summary>What the feature column holds.</summary>
    public required ImageColumnKind FeatureKind { get; init; }

    /// <summary>The feature column's dimensions as declared.</summary>
    public required int[] FeatureDimensions { get; init; }

    /// <summary>How pictures are brought to the model's size.</summary>
    public required ImageResizingEstimator.ResizingKind Resizing { get; init; }

    /// <summary>Per-channel normalisation in front of the model.</summary>
    public required PixelNormalization Normalization { get; init; }

    /// <summary>Type of the matrix products.</summary>
    public required Precision Precision { get; init; }

    /// <summary>Rows that are scored together.</summary>
    public required int PredictionBatchSize { get; init; }

    /// <summary>
    /// The views of an image that are scored together. Left out where it is one, as it was before there were others, so that what knew of
    /// no others reads such a model still.
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public ScoringViews ScoringViews { get; init; }

    /// <summary>What the classes are called, or null.</summary>
    public JsonObject? Labels { get; init; }

    /// <summary>The model's configuration.</summary>
    public required JsonObject Model { get; init; }

    /// <summary>The configuration, parsed and checked.</summary>
    /// <exception cref="InvalidDataException">It is not valid.</exception>
    public ImageClassifierConfig ReadModel() => ImageClassifierConfig.FromJson(Model.ToJsonString());

    /// <summary>The feature column of a model with this configuration.</summary>
    /// <exception cref="InvalidDataException">The column cannot hold the model's images.</exception>
    public ImageColumn ReadColumn(ImageClassifierConfig config)
    {
        try
        {
            var type = new ImageColumnType(FeatureKind, FeatureDimensions);
            var (shape, channelsLast) = type.Resolve(FeatureColumn, config.Channels, config.ImageHeight, config.ImageWidth);
            return new(FeatureColumn, type, shape, channelsLast, Resizing);
        }
        catch (Exception exception) when (exception is ArgumentException or OverflowException)
        {
            throw new InvalidDataException($"The feature column does not fit the model: {exception.Message}", exception);
        }
    }

    /// <summary>Writes the document.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static ClassifierDocument FromBytes(ReadOnlySpan<byte> bytes)
    {
        try
        {
            var document = JsonSerializer.Deserialize<ClassifierDocument>(bytes, Json)
                ?? throw new InvalidDataException("The description of the model is empty.");
            if (document.PredictionBatchSize < 1)
                throw new InvalidDataException($"The prediction batch size is {document.PredictionBatchSize}; it must be at least 1.");
            if (!Enum.IsDefined(document.ScoringViews))
                throw new InvalidDataException(
                    $"The scoring views are {document.ScoringViews}; this version knows "
                        + $"{string.Join(", ", Enum.GetNames<ScoringViews>())}.");
            return document;
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException)
        {
            throw new InvalidDataException($"The description of the model cannot be read: {exception.Message}", exception);
        }
    }
}

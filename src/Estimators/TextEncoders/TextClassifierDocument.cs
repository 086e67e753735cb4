using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What a model zip says about a classifier of texts besides its weights: the file <see cref="TextClassifierFormat.DocumentEntry"/>.
/// </summary>
internal sealed record TextClassifierDocument
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        IgnoreReadOnlyProperties = true,
        TypeInfoResolver = JsonContracts.All,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>Column with the texts.</summary>
    public required string TextColumn { get; init; }

    /// <summary>Column with the second texts of pairs; null where there are none.</summary>
    public string? SecondTextColumn { get; init; }

    /// <summary>The column that labels were read from.</summary>
    public required string LabelColumn { get; init; }

    /// <summary>The column that receives class probabilities.</summary>
    public required string ScoreColumn { get; init; }

    /// <summary>The column that receives the predicted label.</summary>
    public required string PredictedLabelColumn { get; init; }

    /// <summary>The column that receives the mean of the last layer, or null.</summary>
    public string? EmbeddingColumn { get; init; }

    /// <summary>Tokens of a row that are read at most.</summary>
    public required int MaxTokens { get; init; }

    /// <summary>Type of the matrix products.</summary>
    public required Precision Precision { get; init; }

    /// <summary>Rows that are scored together.</summary>
    public required int PredictionBatchSize { get; init; }

    /// <summary>Number of classes.</summary>
    public required int ClassCount { get; init; }

    /// <summary>What the classes are called, or null.</summary>
    public JsonObject? Labels { get; init; }

    /// <summary>The encoder's configuration.</summary>
    public required TextEncoderConfig Encoder { get; init; }

    /// <summary>A configuration as JSON.</summary>
    public static string ToJson(TextEncoderConfig config) => JsonSerializer.Serialize(config, Json);

    /// <summary>Writes the document.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static TextClassifierDocument FromBytes(ReadOnlySpan<byte> bytes)
    {
        try
        {
            var document = JsonSerializer.Deserialize<TextClassifierDocument>(bytes, Json)
                ?? throw new InvalidDataException("The description of the model is empty.");
            OptionChecks.AtLeast(1, document.PredictionBatchSize, nameof(PredictionBatchSize));
            OptionChecks.AtLeast(2, document.ClassCount, nameof(ClassCount));
            document.Encoder.Validate();
            OptionChecks.Between(1, document.Encoder.MaxTokens, document.MaxTokens, nameof(MaxTokens));
            return document;
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or ArgumentException)
        {
            throw new InvalidDataException($"The description of the model cannot be read: {exception.Message}", exception);
        }
    }
}

using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What a model zip says about a text encoder besides its weights: the file <see cref="TextEncodingFormat.DocumentEntry"/>.
/// </summary>
internal sealed record TextEncodingDocument
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
    public required string InputColumnName { get; init; }

    /// <summary>Column that receives the vectors.</summary>
    public required string OutputColumnName { get; init; }

    /// <summary>Whether the vectors are brought to length 1.</summary>
    public required bool Normalize { get; init; }

    /// <summary>Type of the matrix products.</summary>
    public required Precision Precision { get; init; }

    /// <summary>Texts that are encoded together.</summary>
    public required int PredictionBatchSize { get; init; }

    /// <summary>The network's configuration.</summary>
    public required TextEncoderConfig Encoder { get; init; }

    /// <summary>Writes the document.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static TextEncodingDocument FromBytes(ReadOnlySpan<byte> bytes)
    {
        try
        {
            var document = JsonSerializer.Deserialize<TextEncodingDocument>(bytes, Json)
                ?? throw new InvalidDataException("The description of the model is empty.");
            if (document.PredictionBatchSize < 1)
                throw new InvalidDataException($"The prediction batch size is {document.PredictionBatchSize}; it must be at least 1.");
            document.Encoder.Validate();
            return document;
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or ArgumentException)
        {
            throw new InvalidDataException($"The description of the model cannot be read: {exception.Message}", exception);
        }
    }
}

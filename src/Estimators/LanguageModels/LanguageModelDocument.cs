using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What a model zip says about a language model besides its weights: the file <see cref="LanguageModelFormat.DocumentEntry"/>.
/// </summary>
internal sealed record LanguageModelDocument
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

    /// <summary>The columns that it reads and adds.</summary>
    public required LanguageModelColumns Columns { get; init; }

    /// <summary>How the continuation column is made.</summary>
    public required GenerationOptions Continuation { get; init; }

    /// <summary>The tokenizer.</summary>
    public required TokenizerDocument Tokenizer { get; init; }

    /// <summary>The tokenizer's files, each an entry of the zip, in the order in which they were written.</summary>
    public required string[] TokenizerFiles { get; init; }

    /// <summary>Type of the matrix products.</summary>
    public required Precision Precision { get; init; }

    /// <summary>Rows, and windows, that are scored together.</summary>
    public required int PredictionBatchSize { get; init; }

    /// <summary>The model's configuration.</summary>
    public required JsonObject Model { get; init; }

    /// <summary>The configuration, parsed and checked.</summary>
    /// <exception cref="InvalidDataException">It is not valid.</exception>
    public LanguageModelConfig ReadModel() => LanguageModelConfig.FromJson(Model.ToJsonString());

    /// <summary>Writes the document.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, Json);

    /// <summary>Reads what <see cref="ToBytes"/> wrote.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static LanguageModelDocument FromBytes(ReadOnlySpan<byte> bytes)
    {
        try
        {
            var document = JsonSerializer.Deserialize<LanguageModelDocument>(bytes, Json)
                ?? throw new InvalidDataException("The description of the model is empty.");
            if (document.PredictionBatchSize < 1)
                throw new InvalidDataException($"The prediction batch size is {document.PredictionBatchSize}; it must be at least 1.");
            document.Columns.Validate();
            document.Continuation.Validate();
            return document;
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or ArgumentException)
        {
            throw new InvalidDataException($"The description of the model cannot be read: {exception.Message}", exception);
        }
    }
}

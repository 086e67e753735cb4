using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a model zip says about a generalist besides its weights: the file <see cref="GeneralistFormat.DocumentEntry"/>.</summary>
internal sealed record GeneralistDocument
{
    /// <summary>How descriptions of generalists and their tasks are written.</summary>
    public static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
        IgnoreReadOnlyProperties = true,
        TypeInfoResolver = JsonContracts.All,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>The tasks, with their class names.</summary>
    public required GeneralistTask[] Tasks { get; init; }

    /// <summary>The columns that are read and added.</summary>
    public required GeneralistColumns Columns { get; init; }

    /// <summary>The images; null where no task has any.</summary>
    public PictureDocument? Images { get; init; }

    /// <summary>The videos; null where no task has any.</summary>
    public PictureDocument? Videos { get; init; }

    /// <summary>The tokenizer.</summary>
    public required TokenizerDocument Tokenizer { get; init; }

    /// <summary>The tokenizer's files, each an entry of the zip, in the order in which they were written.</summary>
    public required string[] TokenizerFiles { get; init; }

    /// <summary>How the model predicts.</summary>
    public required GeneralistPrediction Prediction { get; init; }

    /// <summary>The model's configuration.</summary>
    public required JsonObject Model { get; init; }

    /// <summary>Describes a model.</summary>
    public static GeneralistDocument From(GeneralistScorer scorer, IReadOnlyList<GeneralistTask> tasks, GeneralistColumns columns) => new()
    {
        Tasks = [.. tasks],
        Columns = columns,
        Images = PictureDocument.From(scorer.Inputs.Images),
        Videos = PictureDocument.From(scorer.Inputs.Videos),
        Tokenizer = scorer.Tokenizer.Describe(),
        TokenizerFiles = [.. scorer.Tokenizer.Files.Keys],
        Prediction = scorer.Prediction,
        Model = JsonNode.Parse(scorer.Model.Config.ToJson())!.AsObject(),
    };

    /// <summary>How pictures become the input of a model.</summary>
    /// <exception cref="InvalidDataException">What is said about pictures is not valid.</exception>
    public GeneralistInputs ReadInputs(GeneralistConfig config) =>
        new(Images?.Read(Columns.Image, config), Videos?.Read(Columns.Video, config));

    /// <summary>Reads a document.</summary>
    /// <exception cref="InvalidDataException">The bytes are something else.</exception>
    public static GeneralistDocument FromBytes(ReadOnlySpan<byte> bytes)
    {
        try
        {
            var document = JsonSerializer.Deserialize<GeneralistDocument>(bytes, Json)
                ?? throw new InvalidDataException("The description of the model is empty.");
            document.Prediction.Validate();
            foreach (var task in document.Tasks)
                task.Validate();
            return document;
        }
        catch (Exception exception) when (exception is JsonException or NotSupportedException or ArgumentException)
        {
            throw new InvalidDataException($"The description of the model cannot be read: {exception.Message}", exception);
        }
    }

    /// <summary>Writes the document.</summary>
    public byte[] ToBytes() => JsonSerializer.SerializeToUtf8Bytes(this, Json);
}

using System.Text.Json;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Weights;

namespace Microsoft.ML.MoE.Interchange;

/// <summary>What Hugging Face's <c>config.json</c> says of a text encoder.</summary>
internal sealed class HuggingFaceCheckpoint
{
    private const string Bert = "bert";
    private const string Albert = "albert";

    private readonly JsonElement json;
    private readonly string kind;

    private HuggingFaceCheckpoint(JsonElement json, string kind, IReadOnlyDictionary<string, SafeTensorsEntry> tensors)
    {
        (this.json, this.kind) = (json, kind);
        Prefix = tensors.Keys.Any(name => name.StartsWith($"{kind}.", StringComparison.Ordinal)) ? $"{kind}." : "";
        Tensors = tensors
            .Where(pair => pair.Key.StartsWith($"{Prefix}embeddings.", StringComparison.Ordinal) && !IsNoWeight(pair.Key)
                || pair.Key.StartsWith($"{Prefix}encoder.", StringComparison.Ordinal)
                || pair.Key.StartsWith($"{Prefix}pooler.", StringComparison.Ordinal))
            .ToDictionary(pair => pair.Key[Prefix.Length..], pair => pair.Value);
    }

    /// <summary>The architectures that are known, as a sentence names them.</summary>
    public static string Known => $"text encoders of Hugging Face ({Bert}, {Albert})";

    /// <summary>What the names of the encoder's tensors begin with in the files.</summary>
    public string Prefix { get; }

    /// <summary>The encoder's tensors, by their names without the prefix. Heads that a checkpoint has beside the encoder are left out.</summary>
    public IReadOnlyDictionary<string, SafeTensorsEntry> Tensors { get; }

    /// <summary>The names of the tensors.</summary>
    public IReadOnlyList<TensorName> Names => kind == Bert ? HuggingFaceNames.Bert : HuggingFaceNames.Albert;

    /// <summary>Reads what a checkpoint is; null where it is none that is known.</summary>
    public static HuggingFaceCheckpoint? Find(JsonElement json, IReadOnlyDictionary<string, SafeTensorsEntry> tensors) =>
        json.ValueKind == JsonValueKind.Object
        && json.TryGetProperty("model_type", out var name)
        && name.ValueKind == JsonValueKind.String
        && name.GetString() is (Bert or Albert) and var kind
            ? new(json, kind, tensors)
            : null;

    /// <summary>The network as we have it.</summary>
    /// <exception cref="InvalidDataException">The network does something that ours cannot.</exception>
    public TextEncoderConfig CreateConfig()
    {
        if (kind == Albert && (Number("num_hidden_groups", 1) != 1 || Number("inner_group_num", 1) != 1))
            throw new InvalidDataException(
                "num_hidden_groups and inner_group_num of an ALBERT must be 1: ours has one block for all depth, or one for each.");
        var positions = json.TryGetProperty("position_embedding_type", out var type) ? type.GetString() : "absolute";
        if (positions != "absolute")
            throw new InvalidDataException($"position_embedding_type is '{positions}'; it must be 'absolute'.");
        var width = Number("hidden_size");
        return new()
        {
            VocabularySize = Number("vocab_size"),
            EmbeddingWidth = kind == Albert ? Number("embedding_size") : width,
            Width = width,
            Heads = Number("num_attention_heads"),
            Blocks = Number("num_hidden_layers"),
            FeedForwardWidth = Number("intermediate_size"),
            MaxTokens = Number("max_position_embeddings"),
            Segments = Number("type_vocab_size", 1),
            NormEpsilon = json.TryGetProperty("layer_norm_eps", out var epsilon) ? epsilon.GetDouble() : 1e-12,
            Gelu = Activation(),
            ShareParameters = kind == Albert,
            ShareLayerNorms = kind == Albert,
            Pooler = Tensors.Keys.Any(name => name.StartsWith("pooler.", StringComparison.Ordinal)),
        };
    }

    private GeluForm Activation() => (json.TryGetProperty("hidden_act", out var name) ? name.GetString() : "gelu") switch
    {
        "gelu" => GeluForm.Exact,
        "gelu_new" or "gelu_pytorch_tanh" => GeluForm.Tanh,
        var other => throw new InvalidDataException($"hidden_act is '{other}'; it can be gelu, gelu_new or gelu_pytorch_tanh."),
    };

    private int Number(string name, int? usual = null) =>
        json.TryGetProperty(name, out var value) ? value.GetInt32()
        : usual ?? throw new InvalidDataException($"config.json does not say {name}.");

    // 0, 1, 2, … up to the longest text.
    private static bool IsNoWeight(string name) =>
        name.EndsWith("position_ids", StringComparison.Ordinal) || name.EndsWith("token_type_ids", StringComparison.Ordinal);
}

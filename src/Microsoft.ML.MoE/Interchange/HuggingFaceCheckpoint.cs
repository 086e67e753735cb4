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

    private const int MostBlocks = 10_000;

    // What the encoder's tensors begin with; those of heads beside it are left out.
    private static readonly string[] Parts = ["embeddings.", "encoder.", "pooler."];

    private readonly JsonElement json;
    private readonly string kind;
    private readonly Dictionary<string, string> files = [];

    private HuggingFaceCheckpoint(JsonElement json, string kind, IReadOnlyDictionary<string, SafeTensorsEntry> tensors)
    {
        (this.json, this.kind) = (json, kind);
        var prefix = tensors.Keys.Any(name => name.StartsWith($"{kind}.", StringComparison.Ordinal)) ? $"{kind}." : "";
        foreach (var (file, entry) in tensors)
        {
            var name = file.StartsWith(prefix, StringComparison.Ordinal) ? file[prefix.Length..] : "";
            if (!Parts.Any(part => name.StartsWith(part, StringComparison.Ordinal)) || IsNoWeight(name))
                continue;
            name = Modern(name);
            if (!files.TryAdd(name, file))
                throw new InvalidDataException($"Tensors '{files[name]}' and '{file}' are the same under an old and a new name.");
            Tensors.Add(name, entry);
        }
    }

    /// <summary>The architectures that are known, as a sentence names them.</summary>
    public static string Known => $"text encoders of Hugging Face ({Bert}, {Albert})";

    /// <summary>
    /// The encoder's tensors, by their names without the prefix. What a checkpoint has beside the encoder, such as heads, is left out.
    /// </summary>
    public Dictionary<string, SafeTensorsEntry> Tensors { get; } = [];

    /// <summary>A tensor's name in the files.</summary>
    /// <param name="name">Its name in <see cref="Tensors"/>.</param>
    public string NameInFile(string name) => files[name];

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
        if (json.TryGetProperty("is_decoder", out var decoder) && decoder.ValueKind == JsonValueKind.True)
            throw new InvalidDataException("is_decoder is true; a text encoder reads in both directions.");
        var width = Number("hidden_size");
        var embeddingWidth = kind == Albert ? Number("embedding_size") : width;
        // Before a network of these sizes is made.
        RequireShape("embeddings.word_embeddings.weight", "vocab_size and the width of embeddings", Number("vocab_size"), embeddingWidth);
        RequireShape(
            kind == Albert ? "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight" : "encoder.layer.0.intermediate.dense.weight",
            "intermediate_size and hidden_size", Number("intermediate_size"), width);
        RequireShape(
            "embeddings.position_embeddings.weight", "max_position_embeddings and the width of embeddings",
            Number("max_position_embeddings"), embeddingWidth);
        if (Number("num_hidden_layers") is < 1 or > MostBlocks)
            throw new InvalidDataException($"num_hidden_layers is {Number("num_hidden_layers")}; it must be between 1 and {MostBlocks}.");
        return new()
        {
            VocabularySize = Number("vocab_size"),
            EmbeddingWidth = embeddingWidth,
            Width = width,
            Heads = Number("num_attention_heads"),
            Blocks = Number("num_hidden_layers"),
            FeedForwardWidth = Number("intermediate_size"),
            MaxTokens = Number("max_position_embeddings"),
            Segments = Number("type_vocab_size", 2),
            NormEpsilon = json.TryGetProperty("layer_norm_eps", out var epsilon) ? epsilon.GetDouble() : 1e-12,
            Gelu = Activation(),
            ShareParameters = kind == Albert,
            ShareLayerNorms = kind == Albert,
            Pooler = Tensors.Keys.Any(name => name.StartsWith("pooler.", StringComparison.Ordinal)),
        };
    }

    private GeluForm Activation()
    {
        var usual = kind == Albert ? "gelu_new" : "gelu";
        return (json.TryGetProperty("hidden_act", out var name) ? name.GetString() : usual) switch
        {
            "gelu" => GeluForm.Exact,
            "gelu_new" or "gelu_pytorch_tanh" => GeluForm.Tanh,
            var other => throw new InvalidDataException($"hidden_act is '{other}'; it can be gelu, gelu_new or gelu_pytorch_tanh."),
        };
    }

    private int Number(string name, int? usual = null) =>
        json.TryGetProperty(name, out var value)
            ? value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out var number)
                ? number
                : throw new InvalidDataException($"{name} in config.json is {value}, which is no number of 32 bits.")
        : usual ?? throw new InvalidDataException($"config.json does not say {name}.");

    private void RequireShape(string name, string what, int rows, int columns)
    {
        if (!Tensors.TryGetValue(name, out var entry))
            throw new InvalidDataException($"Tensor '{name}' is missing.");
        if (!entry.Shape.SequenceEqual([rows, columns]))
            throw new InvalidDataException(
                $"Tensor '{name}' is ({string.Join(", ", entry.Shape)}), where {what} say ({rows}, {columns}).");
    }

    // The first checkpoints of BERT have TensorFlow's names for scale and shift.
    private static string Modern(string name) =>
        name.EndsWith("LayerNorm.gamma", StringComparison.Ordinal) ? $"{name[..^"gamma".Length]}weight"
        : name.EndsWith("LayerNorm.beta", StringComparison.Ordinal) ? $"{name[..^"beta".Length]}bias"
        : name;

    // 0, 1, 2, … up to the longest text.
    private static bool IsNoWeight(string name) =>
        name.EndsWith("position_ids", StringComparison.Ordinal) || name.EndsWith("token_type_ids", StringComparison.Ordinal);
}

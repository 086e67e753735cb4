using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Configuration of a <see cref="LanguageModel"/>. Immutable; written to model files as JSON. PEER's paper (arXiv 2407.04153) replaces the
/// feed-forward layer of the middle block only; it gives neither widths nor a tokenizer, so that those of the presets are ours.
/// </summary>
public sealed record LanguageModelConfig
{
    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        AllowOutOfOrderMetadataProperties = true,
        TypeInfoResolver = JsonContracts.All,
        Converters = { new JsonStringEnumConverter() },
    };

    // As in ImageClassifierConfig: below, casts to bfloat16 cost a CPU more than the faster products save.
    private const int LeastWidthForBFloat16 = 256;

    /// <summary>The defaults.</summary>
    public LanguageModelConfig()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
    public LanguageModelConfig(LanguageModelConfig original) => DeclaredFields.Copy(original, this);

    /// <summary>Number of tokens V, at least 2. Default 257, the bytes and a separator.</summary>
    public int VocabularySize { get; init; } = 257;

    /// <summary>Tokens that the model sees at once, at least 1. Default 256.</summary>
    public int ContextLength { get; init; } = 256;

    /// <summary>Model width D, a multiple of <see cref="Heads"/>. Default 384.</summary>
    public int Width { get; init; } = 384;

    /// <summary>Attention heads, at least 1. Default 6.</summary>
    public int Heads { get; init; } = 6;

    /// <summary>Transformer blocks, at least 1. Default 6.</summary>
    public int Blocks { get; init; } = 6;

    /// <summary>Hidden width of the dense feed-forward layers, at least 1; null (default) for four times the width.</summary>
    public int? FeedForwardWidth { get; init; }

    /// <summary>
    /// What stands in the feed-forward slot of <see cref="SparseBlocks"/>; null (default) for the dense layer in every block.
    /// </summary>
    public FeedForwardSlotOptions? SparseLayer { get; init; }

    /// <summary>
    /// The blocks, from 0, that have <see cref="SparseLayer"/>, each with one of its own; null (default) for the middle one: block 5 of 12,
    /// which is the paper's sixth.
    /// </summary>
    public IReadOnlyList<int>? SparseBlocks { get; init => field = value is null ? null : [.. value]; }

    /// <summary>How positions are told apart. Default: by rotation.</summary>
    public PositionKind Positions { get; init; }

    /// <summary>Whether the vectors that tokens are read as also score the next token. Default false.</summary>
    public bool TieEmbeddings { get; init; }

    /// <summary>
    /// Probability of dropping a value after the embedding, the attention and the feed-forward layer, 0 to below 1. Training only. Default
    /// 0.
    /// </summary>
    public double Dropout { get; init; }

    /// <summary>For tests: 3 blocks of width 32, PEER of 256 experts.</summary>
    public static LanguageModelConfig Nano { get; } = new()
    {
        ContextLength = 32,
        Width = 32,
        Heads = 2,
        Blocks = 3,
        SparseLayer = new PeerOptions { Experts = 16 * 16, Heads = 2, ExpertsPerHead = 4, QueryWidth = 16 },
    };

    /// <summary>Trains on a CPU in minutes: 4 blocks of width 128 (nanoGPT's CPU size), PEER of 16,384 experts.</summary>
    public static LanguageModelConfig Small { get; } = new()
    {
        ContextLength = 128,
        Width = 128,
        Heads = 4,
        Blocks = 4,
        SparseLayer = new PeerOptions { Experts = 128 * 128, Heads = 4, ExpertsPerHead = 16, QueryWidth = 64 },
    };

    /// <summary>6 blocks of width 384 (nanoGPT's GPU size for tiny Shakespeare), PEER of 65,536 experts.</summary>
    public static LanguageModelConfig Medium { get; } = new()
    {
        SparseLayer = new PeerOptions { Experts = 256 * 256, Heads = 8, ExpertsPerHead = 16, QueryWidth = 128 },
    };

    /// <summary>The paper's scale: 12 blocks of width 768, context 2048, PEER of 1024² experts, 8 heads of 16.</summary>
    public static LanguageModelConfig Base { get; } = new()
    {
        VocabularySize = 32_000,
        ContextLength = 2048,
        Width = 768,
        Heads = 12,
        Blocks = 12,
        SparseLayer = new PeerOptions(),
    };

    /// <summary>The blocks that have the sparse layer, in order.</summary>
    [JsonIgnore]
    public IReadOnlyList<int> SparseBlocksOrMiddle => SparseLayer is null ? [] : SparseBlocks ?? [(Blocks - 1) / 2];

    /// <summary>Hidden width of the dense feed-forward layers.</summary>
    [JsonIgnore]
    public int DenseWidth => FeedForwardWidth ?? checked(4 * Width);

    /// <summary>
    /// Parameters, those that one token meets, and multiply-adds of one token's forward pass, attention to half a context included.
    /// Allocates no weights.
    /// </summary>
    /// <exception cref="OverflowException">A figure is beyond 64 bits.</exception>
    public ModelCost GetCost()
    {
        checked
        {
            long width = Width;
            var slots = Enumerable.Range(0, Blocks).Select(block => FeedForwardOf(block).GetCost(Width)).ToArray();
            var embedding = VocabularySize * width;
            var head = TieEmbeddings ? 0 : embedding + VocabularySize;
            var positions = Positions == PositionKind.Learned ? ContextLength * width : 0;
            var block = (4 * ((width * width) + width)) + (4 * width);
            var shared = (Blocks * block) + (2 * width);
            // Of an embedding that only reads, one row.
            var active = (TieEmbeddings ? embedding : head + width) + (positions > 0 ? width : 0);
            return new ModelCost(
                embedding + head + positions + shared + slots.Sum(slot => slot.Parameters),
                active + shared + slots.Sum(slot => slot.ActiveParameters),
                embedding + (Blocks * ((4 * width * width) + (width * (ContextLength + 1)))) + slots.Sum(slot => slot.MacsPerToken));
        }
    }

    /// <summary>Experts of a sparse layer; null where there are none.</summary>
    internal long? SparseExperts => SparseLayer switch
    {
        PeerOptions peer => peer.Experts,
        ProductKeyMemoryOptions memory => memory.Memories,
        MixtureSlotOptions mixture => mixture.Mixture.Router.Experts,
        ExpertChoiceOptions choice => choice.Experts,
        _ => null,
    };

    /// <summary>Bytes of the sparse layers' tables, and of the optimizer's state for them.</summary>
    internal (long Tables, long Optimizer) GetTableBytes()
    {
        checked
        {
            var slots = SparseBlocksOrMiddle.Select(_ => SparseLayer!.GetCost(Width)).ToArray();
            return (slots.Sum(slot => slot.TableBytes), slots.Sum(slot => slot.OptimizerBytes));
        }
    }

    /// <summary>Makes the model with fresh random weights.</summary>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products, float32 (default) or bfloat16. Weights are float32 either way.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    /// <exception cref="InvalidOperationException">A sparse layer's tables do not fit into the memory that is available.</exception>
    public LanguageModel Build(Device? device = null, ScalarType computeType = ScalarType.Float32) => new(this, device, computeType);

    /// <summary>Checks the configuration.</summary>
    /// <exception cref="ArgumentException">A property is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        OptionChecks.AtLeast(2, VocabularySize, nameof(VocabularySize));
        OptionChecks.AtLeast(1, ContextLength, nameof(ContextLength));
        OptionChecks.AtLeast(1, Width, nameof(Width));
        OptionChecks.AtLeast(1, Heads, nameof(Heads));
        OptionChecks.AtLeast(1, Blocks, nameof(Blocks));
        OptionChecks.AtLeast(1, FeedForwardWidth ?? 1, nameof(FeedForwardWidth));
        OptionChecks.Defined(Positions, nameof(Positions));
        OptionChecks.AtLeastAndBelow(0, 1, Dropout, nameof(Dropout));
        if (Width % Heads != 0)
            throw new ArgumentException(
                $"{nameof(Width)} is {Width} and {nameof(Heads)} is {Heads}; the width must be a multiple of the heads.");
        if (Positions == PositionKind.Rotary && Width / Heads % 2 != 0)
            throw new ArgumentException(
                $"{nameof(Width)} is {Width} and {nameof(Heads)} is {Heads}, so a head is {Width / Heads} wide; with {nameof(Positions)} "
                    + $"{Positions} that must be even.");
        SparseLayer?.Validate();
        if (SparseBlocks is not { } blocks)
            return;
        if (SparseLayer is null)
            throw new ArgumentException(
                $"{nameof(SparseBlocks)} is set, but {nameof(SparseLayer)} is null: nothing says what those blocks have.");
        if (blocks.Count == 0 || blocks.Distinct().Count() != blocks.Count || blocks.Any(block => block < 0 || block >= Blocks))
            throw new ArgumentException(
                $"{nameof(SparseBlocks)} is [{string.Join(", ", blocks)}]; it must have different blocks from 0 to {Blocks - 1}, and at "
                    + "least one.");
    }

    /// <summary>The configuration as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <summary>Reads what <see cref="ToJson"/> wrote, and checks it.</summary>
    /// <param name="json">The JSON text.</param>
    /// <exception cref="InvalidDataException">The text is not such a configuration.</exception>
    public static LanguageModelConfig FromJson(string json)
    {
        try
        {
            var config = JsonSerializer.Deserialize<LanguageModelConfig>(json, Json)
                ?? throw new InvalidDataException("The model configuration is empty.");
            config.Validate();
            return config;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException or NotSupportedException)
        {
            throw new InvalidDataException($"The model configuration is not valid: {exception.Message}", exception);
        }
    }

    /// <summary>
    /// The type of this model's matrix products: <see cref="Precision.Auto"/> is float32 for a narrow model on a CPU, whatever the hardware
    /// has.
    /// </summary>
    internal ScalarType ComputeType(Precision precision, Device device) =>
        precision == Precision.Auto && device.type == DeviceType.CPU && Width < LeastWidthForBFloat16
            ? ScalarType.Float32
            : precision.Resolve(device);

    /// <summary>What a block has in its feed-forward slot.</summary>
    internal FeedForwardSlotOptions FeedForwardOf(int block) =>
        SparseBlocksOrMiddle.Contains(block) ? SparseLayer! : new DenseSlotOptions { HiddenWidth = DenseWidth };
}

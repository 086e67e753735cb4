using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Configuration of a <see cref="Generalist"/>. Immutable; written to model files as JSON. The presets are those of Uni-Perceiver-MoE
/// (arXiv 2206.04674) as its authors' code has them.
/// </summary>
public sealed record GeneralistConfig
{
    private readonly IReadOnlyList<string> attributes = AttributeTable.Names;

    private static readonly JsonSerializerOptions Json = new()
    {
        WriteIndented = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        TypeInfoResolver = JsonContracts.All,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>The defaults.</summary>
    public GeneralistConfig()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
#pragma warning disable CS8618   // all fields are copied
    public GeneralistConfig(GeneralistConfig original) => DeclaredFields.Copy(original, this);
#pragma warning restore CS8618

    /// <summary>Number of text tokens, at least 2. Default 257, the bytes and a separator.</summary>
    public int VocabularySize { get; init; } = 257;

    /// <summary>Text tokens that a sequence has at most, at least 1. Default 128.</summary>
    public int TextLength { get; init; } = 128;

    /// <summary>Channels of an image, at least 1. Default 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>Height of images and frames in pixels, a multiple of <see cref="PatchSize"/>. Default 224.</summary>
    public int ImageHeight { get; init; } = 224;

    /// <summary>Width of images and frames in pixels, a multiple of <see cref="PatchSize"/>. Default 224.</summary>
    public int ImageWidth { get; init; } = 224;

    /// <summary>Side of a patch in pixels, at least 1. Default 16.</summary>
    public int PatchSize { get; init; } = 16;

    /// <summary>Frames of a video at most, at least 1. Default 8.</summary>
    public int Frames { get; init; } = 8;

    /// <summary>Transformer blocks, at least 1. Default 12.</summary>
    public int Blocks { get; init; } = 12;

    /// <summary>Widths, heads and experts of a block. <see cref="ConditionalBlockOptions.Experts"/> null makes all blocks dense.</summary>
    public ConditionalBlockOptions Block { get; init; } = new();

    /// <summary>
    /// The blocks that have experts; null (default) for every other one from the first on. Without effect where there are no experts.
    /// </summary>
    public BlockPositions? SparseBlocks { get; init; }

    /// <summary>
    /// The attributes that roles may have. Default: those of <see cref="AttributeTable"/>. Declare more here to tell other tasks apart.
    /// </summary>
    public IReadOnlyList<string> Attributes
    {
        get => attributes;
        init => attributes = value is null ? null! : [.. value];   // null is refused by name
    }

    /// <summary>The tasks that a router at level <see cref="RoutingLevel.Task"/> knows; not read at other levels. Default: none.</summary>
    public IReadOnlyList<string> Tasks { get; init; } = [];

    /// <summary>
    /// Prompt vectors that every sequence sees in each block beside its own tokens, at least 0 (P-Tuning v2, arXiv 2110.07602). Default 0.
    /// Prompt tuning adds them.
    /// </summary>
    public int Prompts { get; init; }

    /// <summary>
    /// The classification that has a linear head beside the cosines (<see cref="Generalist.Classify"/>), with the names of its classes;
    /// null (default) for none. Prompt tuning adds it.
    /// </summary>
    public GeneralistTask? Head { get; init; }

    /// <summary>
    /// Probability that a sequence leaves out a branch of the last block, 0 to below 1, rising linearly from 0 at the first. Training only.
    /// Default 0.1.
    /// </summary>
    public double DropPath { get; init; } = 0.1;

    /// <summary>For tests: 2 blocks of width 16 with 4 experts, images of 4×4 pixels in patches of 2.</summary>
    public static GeneralistConfig Nano { get; } = new()
    {
        TextLength = 16,
        ImageHeight = 4,
        ImageWidth = 4,
        PatchSize = 2,
        Frames = 3,
        Blocks = 2,
        Block = new ConditionalBlockOptions { Width = 16, Heads = 2, FeedForwardWidth = 32, Experts = 4, LayerScale = 0.1 },
        SparseBlocks = BlockPositions.First(2),
        DropPath = 0,
    };

    /// <summary>
    /// Trains on a CPU in minutes: 4 blocks of width 64 with 8 experts in every other one, images of 28×28 pixels in patches of 4.
    /// </summary>
    public static GeneralistConfig Small { get; } = new()
    {
        VocabularySize = 1024,
        TextLength = 64,
        ImageHeight = 28,
        ImageWidth = 28,
        PatchSize = 4,
        Blocks = 4,
        Block = new ConditionalBlockOptions { Width = 64, Heads = 4, FeedForwardWidth = 256, Experts = 8, LayerScale = 0.1 },
        DropPath = 0,
    };

    /// <summary>The size of the paper's comparison of routers: 12 blocks of width 192, experts in all.</summary>
    public static GeneralistConfig Tiny { get; } = new()
    {
        VocabularySize = 49_411,
        Block = new ConditionalBlockOptions { Width = 192, Heads = 3, FeedForwardWidth = 768, Experts = 8 },
        SparseBlocks = BlockPositions.First(12),
    };

    /// <summary>The size of BERT-base: 12 blocks of width 768, experts in every other one.</summary>
    public static GeneralistConfig Base { get; } = new()
    {
        VocabularySize = 49_411,
        Block = new ConditionalBlockOptions { Experts = 8 },
    };

    /// <summary>The size of BERT-large: 24 blocks of width 1024, experts in every other one.</summary>
    public static GeneralistConfig Large { get; } = new()
    {
        VocabularySize = 49_411,
        Blocks = 24,
        Block = new ConditionalBlockOptions { Width = 1024, Heads = 16, FeedForwardWidth = 4096, Experts = 8 },
    };

    /// <summary>Patches of an image or frame.</summary>
    [JsonIgnore]
    public int Patches => ImageHeight / PatchSize * (ImageWidth / PatchSize);

    /// <summary>Whether a block has experts.</summary>
    /// <param name="block">The block, from 0.</param>
    public bool IsSparse(int block) => Block.Experts is not null && (SparseBlocks?.Contains(block, Blocks) ?? block % 2 == 0);

    /// <summary>
    /// Parameters, those that one token meets, and multiply-adds of an image's forward pass with the experts of its one role merged.
    /// Allocates no weights.
    /// </summary>
    public ModelCost GetCost()
    {
        checked
        {
            long width = Block.Width, length = Patches + 1;
            var sparse = Enumerable.Range(0, Blocks).Count(IsSparse);
            var router = RoutingParameters(sparse);
            var dense = ParametersWith(linearCopies: 1);
            var macs = (length - 1) * PatchSize * PatchSize * Channels * width;
            macs += Blocks * ((length * LinearWeights) + (2 * length * length * width)) + (length * width * width);
            return new ModelCost(
                ParametersWith(Block.Experts ?? 1) + router,
                dense + (sparse * LinearParameters * (Math.Min(Block.ExpertsPerToken, Block.Experts ?? 1) - 1)) + router,
                macs);
        }
    }

    /// <summary>
    /// Parameters of a model whose experts are merged for some roles: what is kept for scoring where routers do not look at the data. With
    /// 2 roles, as an image and a text need, the paper's deployed sizes.
    /// </summary>
    /// <param name="roles">Roles that are merged for, at least 1.</param>
    /// <exception cref="ArgumentException">The number is below 1.</exception>
    public long GetDeployedParameters(int roles)
    {
        OptionChecks.AtLeast(1, roles, nameof(roles));
        return ParametersWith(roles);
    }

    /// <summary>Makes the model with fresh random weights.</summary>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    public Generalist Build(torch.Device? device = null) => new(this, device);

    /// <summary>Checks the configuration.</summary>
    /// <exception cref="ArgumentException">A property is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        OptionChecks.AtLeast(2, VocabularySize, nameof(VocabularySize));
        OptionChecks.AtLeast(1, TextLength, nameof(TextLength));
        OptionChecks.AtLeast(1, Channels, nameof(Channels));
        OptionChecks.AtLeast(1, PatchSize, nameof(PatchSize));
        OptionChecks.AtLeast(1, ImageHeight, nameof(ImageHeight));
        OptionChecks.AtLeast(1, ImageWidth, nameof(ImageWidth));
        OptionChecks.AtLeast(1, Frames, nameof(Frames));
        OptionChecks.AtLeast(1, Blocks, nameof(Blocks));
        OptionChecks.AtLeast(0, Prompts, nameof(Prompts));
        OptionChecks.AtLeastAndBelow(0, 1, DropPath, nameof(DropPath));
        Block.Validate();
        Head?.Validate();
        if (Head is { ClassNames: null })
            throw new ArgumentException(
                $"{nameof(Head)} is task '{Head.Name}' of kind {Head.Kind} without class names; a classification with the names of its "
                    + "classes is wanted.");
        if (ImageHeight % PatchSize != 0 || ImageWidth % PatchSize != 0)
            throw new ArgumentException(
                $"Images are {ImageWidth}×{ImageHeight} and {nameof(PatchSize)} is {PatchSize}; both sides must be multiples of it.");
        if (SparseBlocks is { } positions && !positions.Fit(Blocks))
            throw new ArgumentException($"{nameof(SparseBlocks)} is {positions}, but {nameof(Blocks)} is {Blocks}.");
        if (Attributes.Count == 0 || Attributes.Any(string.IsNullOrWhiteSpace) || Attributes.Distinct().Count() != Attributes.Count)
            throw new ArgumentException(
                $"{nameof(Attributes)} is [{string.Join(", ", Attributes)}]; at least one name is wanted, none empty and none twice.");
        if (
            Block.Experts is not null
            && Block.RoutingLevel == RoutingLevel.Task
            && (Tasks.Count == 0 || Tasks.Distinct().Count() != Tasks.Count))
            throw new ArgumentException(
                $"{nameof(Tasks)} is [{string.Join(", ", Tasks)}]; with a router at level {RoutingLevel.Task} at least one is wanted, "
                    + "none twice.");
    }

    /// <summary>The configuration as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, Json);

    /// <summary>Reads what <see cref="ToJson"/> wrote, and checks it.</summary>
    /// <param name="json">The JSON text.</param>
    /// <exception cref="InvalidDataException">The text is not such a configuration.</exception>
    public static GeneralistConfig FromJson(string json)
    {
        try
        {
            var config = JsonSerializer.Deserialize<GeneralistConfig>(json, Json)
                ?? throw new InvalidDataException("The model configuration is empty.");
            config.Validate();
            return config;
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException or NotSupportedException)
        {
            throw new InvalidDataException($"The model configuration is not valid: {exception.Message}", exception);
        }
    }

    // The four linear layers of a block.
    private long LinearWeights => ((4L * Block.Width) + (2L * Block.FeedForwardWidth)) * Block.Width;

    private long LinearParameters => LinearWeights + (5L * Block.Width) + Block.FeedForwardWidth;

    // Gates and what they are told; none of it is left once experts are merged.
    private long RoutingParameters(int sparse)
    {
        if (sparse == 0)
            return 0;
        long width = Block.Width;
        var inputs = Block.RoutingLevel == RoutingLevel.Context ? 2 * width : width;
        var roles = Block.RoutingLevel switch
        {
            RoutingLevel.Attribute => ((Attributes.Count + 1) * width) + (2 * width),
            RoutingLevel.Task => Tasks.Count * width,
            RoutingLevel.Modality => Enum.GetValues<TokenModality>().Length * width,
            _ => 0,
        };
        return (2L * sparse * inputs * Block.Experts!.Value) + roles;
    }

    private long ParametersWith(int linearCopies)
    {
        checked
        {
            long width = Block.Width;
            var sparse = Enumerable.Range(0, Blocks).Count(IsSparse);
            var embedding =
                ((VocabularySize + TextLength + Patches + Frames + 3L) * width)   // the two types and <SPE>
                + ((((long)PatchSize * PatchSize * Channels) + 1) * width)
                + (2 * width);
            // Two norms and two LayerScales.
            var blocks = (Blocks * (LinearParameters + (6 * width))) + (sparse * (linearCopies - 1) * LinearParameters);
            return embedding
                + blocks
                + ((long)Blocks * Prompts * width)
                + (Head is null ? 0 : 1 + (Head.ClassNames!.Count * (width + 1)))
                + (2 * width)
                + ((width + 1) * width)
                + Enum.GetValues<GeneralistTaskKind>().Length;
        }
    }
}

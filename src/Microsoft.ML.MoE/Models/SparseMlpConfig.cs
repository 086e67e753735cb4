using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Configuration of a <see cref="SparseMlp"/>. The paper's sizes are <see cref="S16"/>, <see cref="B16"/> and <see cref="L16"/> (arXiv
/// 2109.02008, table 2); the ablations of its section 3 are the properties below.
/// </summary>
public sealed record SparseMlpConfig : MixerClassifierConfig
{
    /// <summary>The defaults.</summary>
    public SparseMlpConfig()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
#pragma warning disable CS8618   // all fields are copied
    public SparseMlpConfig(SparseMlpConfig original) : base(original) => DeclaredFields.Copy(original, this);
#pragma warning restore CS8618

    /// <summary>Which blocks are sparse. Default: the last two.</summary>
    public BlockPositions SparseBlocks { get; init; } = BlockPositions.Last(2);

    /// <summary>What the re-represent layers of a sparse block rescale. Default: patches and channels.</summary>
    public ReRepresentedAxes ReRepresented { get; init; }

    /// <summary>
    /// Patches S′ of a sparse block between its re-represent layers. Null (default): twice the image's patches, or as many where patches
    /// are not rescaled.
    /// </summary>
    public int? InnerPatches { get; init; }

    /// <summary>
    /// Channels C′ of a sparse block between its re-represent layers. Null (default): half the width, or all of it where channels are not
    /// rescaled.
    /// </summary>
    public int? InnerWidth { get; init; }

    /// <summary>Spatial experts E_S of a sparse block; 0 makes its spatial network dense. Default 8.</summary>
    public int SpatialExperts { get; init; } = 8;

    /// <summary>Spatial experts K that each channel is sent to. Default 1.</summary>
    public int SpatialExpertsPerItem { get; init; } = 1;

    /// <summary>Hidden width D_S′ of a spatial expert, or of the dense network in its place. Default 768.</summary>
    public int SpatialExpertWidth { get; init; } = 768;

    /// <summary>Channel experts E_C of a sparse block; 0 makes its channel network dense. Default 4.</summary>
    public int ChannelExperts { get; init; } = 4;

    /// <summary>Channel experts K that each patch is sent to. Default 2.</summary>
    public int ChannelExpertsPerItem { get; init; } = 2;

    /// <summary>Hidden width D_C′ of a channel expert, or of the dense network in its place. Default 1536.</summary>
    public int ChannelExpertWidth { get; init; } = 1536;

    /// <summary>Noise of the routers while training, standard deviation as a multiple of 1/E. Default 1.</summary>
    public double RouterNoise { get; init; } = 1;

    /// <summary>
    /// Whether the gates of the chosen experts are divided by their sum, so that they sum to 1. Default false, as in the paper; a dense
    /// network that becomes a sparse one goes on as it was only with true (arXiv 2212.05055, section 3).
    /// </summary>
    public bool RenormalizeGates { get; init; }

    /// <summary>
    /// Limit of items per expert while training; null (default) for none: the paper mentions none. <see cref="ExpertCapacity.VMoe"/> is
    /// V-MoE's.
    /// </summary>
    public ExpertCapacity? TrainingCapacity { get; init; }

    /// <summary>
    /// Limit of items per expert in evaluation, counted within each image, whose scores so depend on no other; null (default) for none.
    /// </summary>
    public ExpertCapacity? EvaluationCapacity { get; init; }

    /// <summary>Weight λ of the balance losses, (importance + load)/2 each, which are summed over the mixtures. Default 0.01.</summary>
    public double BalanceLossWeight { get; init; } = 0.01;

    /// <summary>
    /// Sparse-MLP-S: 8 blocks of width 512, the last 2 sparse with 4 spatial experts and a dense channel network; 22.4M parameters without
    /// the classifier, 21.3M with
    /// <see cref="ReRepresentedAxes.Patches"/>: the paper's tables have both figures.
    /// </summary>
    public static SparseMlpConfig S16 { get; } = new()
    {
        Width = 512,
        Blocks = 8,
        SpatialWidth = 256,
        ChannelWidth = 2048,
        InnerWidth = 512,
        SpatialExperts = 4,
        SpatialExpertWidth = 512,
        ChannelExperts = 0,
        ChannelExpertWidth = 2048,
    };

    /// <summary>
    /// Sparse-MLP-B: 12 blocks of width 768, the last 2 sparse with 8 spatial and 4 channel experts; 70.0M parameters without the
    /// classifier.
    /// </summary>
    public static SparseMlpConfig B16 { get; } = new();

    /// <summary>
    /// Sparse-MLP-L: 14 blocks of width 768, the last 6 sparse with 16 spatial and 4 channel experts; 130.4M parameters without the
    /// classifier.
    /// </summary>
    public static SparseMlpConfig L16 { get; } = new() { Blocks = 14, SparseBlocks = BlockPositions.Last(6), SpatialExperts = 16 };

    /// <summary>
    /// A size that trains on a CPU in minutes: <see cref="MlpMixerConfig.Small"/> with 4 spatial and 4 channel experts in the last 2
    /// blocks.
    /// </summary>
    public static SparseMlpConfig Small { get; } = new()
    {
        ImageHeight = 28,
        ImageWidth = 28,
        Channels = 1,
        PatchSize = 4,
        ClassCount = 10,
        Width = 96,
        Blocks = 6,
        SpatialWidth = 48,
        ChannelWidth = 384,
        SpatialExperts = 4,
        SpatialExpertWidth = 96,
        ChannelExpertWidth = 192,
    };

    /// <summary>
    /// About as many multiply-adds as <see cref="MlpMixerConfig.Thumbnail"/>, with 4 spatial and 4 channel experts in the last 2 of 4
    /// blocks.
    /// </summary>
    public static SparseMlpConfig Thumbnail { get; } = Small with
    {
        Stem = new(),
        Pooling = Pooling.Attention,
        Width = 64,
        Blocks = 4,
        SpatialWidth = 64,
        ChannelWidth = 256,
        SpatialExpertWidth = 64,
        ChannelExpertWidth = 64,
    };

    /// <summary>
    /// About as many multiply-adds as <see cref="MlpMixerConfig.Compact"/>, with 4 spatial and 4 channel experts in the last 2 of 6 blocks.
    /// </summary>
    public static SparseMlpConfig Compact { get; } = Thumbnail with
    {
        ImageHeight = 224,
        ImageWidth = 224,
        Channels = 3,
        PatchSize = 16,
        Stem = new() { Halving = StemHalving.Stride },
        Width = 128,
        Blocks = 6,
        SpatialWidth = 128,
        ChannelWidth = 512,
        SpatialExpertWidth = 96,
        ChannelExpertWidth = 128,
    };

    /// <summary>A size for tests: <see cref="MlpMixerConfig.Tiny"/> with 4 spatial and 3 channel experts in the last block.</summary>
    public static SparseMlpConfig Tiny { get; } = new()
    {
        ImageHeight = 8,
        ImageWidth = 8,
        Channels = 3,
        PatchSize = 4,
        ClassCount = 4,
        Width = 16,
        Blocks = 2,
        SpatialWidth = 8,
        ChannelWidth = 32,
        SparseBlocks = BlockPositions.Last(1),
        SpatialExperts = 4,
        SpatialExpertWidth = 16,
        ChannelExperts = 3,
        ChannelExpertWidth = 16,
    };

    // S' and C'.
    private int UsedInnerPatches => InnerPatches ?? (ReRepresented == ReRepresentedAxes.None ? Patches : 2 * Patches);

    private int UsedInnerWidth => InnerWidth ?? (ReRepresented == ReRepresentedAxes.PatchesAndChannels ? Width / 2 : Width);

    internal SparseMlpBlockOptions BlockOptions => new()
    {
        Patches = Patches,
        Width = Width,
        ReRepresented = ReRepresented,
        InnerPatches = UsedInnerPatches,
        InnerWidth = UsedInnerWidth,
        SpatialWidth = SpatialExpertWidth,
        ChannelWidth = ChannelExpertWidth,
        SpatialRouter = SpatialExperts == 0 ? null : Router(SpatialExperts, SpatialExpertsPerItem),
        ChannelRouter = ChannelExperts == 0 ? null : Router(ChannelExperts, ChannelExpertsPerItem),
        TrainingCapacity = TrainingCapacity,
        EvaluationCapacity = EvaluationCapacity,
    };

    internal override ImageClassifierConfig WithBalanceLossWeight(double weight) => this with { BalanceLossWeight = weight };

    private protected override IEnumerable<string> FreeProperties =>
        [.. base.FreeProperties, nameof(RouterNoise), nameof(TrainingCapacity), nameof(BalanceLossWeight)];

    private protected override ImageClassifierConfig? DenseCounterpart(ImageClassifierConfig earlier)
    {
        if (earlier is not MlpMixerConfig dense)
            return null;
        if (ReRepresented != ReRepresentedAxes.None)
            throw new ArgumentException(
                $"{nameof(ReRepresented)} is {ReRepresented}, but the model to start from is an MLP-Mixer, which has no such layers; it "
                    + $"must be {nameof(ReRepresentedAxes.None)}.");
        if (SparseBlocks.Count > 0)
        {
            RequireExpertsAsWide(SpatialExpertWidth, nameof(SpatialExpertWidth), dense.SpatialWidth, nameof(SpatialWidth));
            RequireExpertsAsWide(ChannelExpertWidth, nameof(ChannelExpertWidth), dense.ChannelWidth, nameof(ChannelWidth));
        }
        return new MlpMixerConfig
        {
            ImageHeight = ImageHeight,
            ImageWidth = ImageWidth,
            Channels = Channels,
            PatchSize = PatchSize,
            Stem = Stem,
            Pooling = Pooling,
            ClassCount = ClassCount,
            Width = Width,
            Blocks = Blocks,
            SpatialWidth = SpatialWidth,
            ChannelWidth = ChannelWidth,
            DropPath = DropPath,
        };
    }

    /// <inheritdoc/>
    public override ModelCost GetCost()
    {
        checked   // a size that no machine can hold is an OverflowException, not a small number
        {
            long sparse = SparseBlocks.Count, dense = Blocks - sparse;
            var (patches, width) = ((long)UsedInnerPatches, (long)UsedInnerWidth);
            var (spatialExpert, channelExpert) = (FeedForward(patches, SpatialExpertWidth), FeedForward(width, ChannelExpertWidth));
            var (spatialMacs, channelMacs) = (2 * width * patches * SpatialExpertWidth, 2 * patches * width * ChannelExpertWidth);

            var block = (2 * LayerNorm(width)) + ReRepresentParameters(patches, width)
                + (SpatialExperts == 0 ? spatialExpert : (SpatialExperts * spatialExpert) + (patches * SpatialExperts))
                + (ChannelExperts == 0 ? channelExpert : (ChannelExperts * channelExpert) + (width * ChannelExperts));
            var idle = (SpatialExperts == 0 ? 0 : (SpatialExperts - SpatialExpertsPerItem) * spatialExpert)
                + (ChannelExperts == 0 ? 0 : (ChannelExperts - ChannelExpertsPerItem) * channelExpert);
            var macs = ReRepresentMacs(patches, width)
                + (SpatialExperts == 0 ? spatialMacs : (SpatialExpertsPerItem * spatialMacs) + (width * patches * SpatialExperts))
                + (ChannelExperts == 0 ? channelMacs : (ChannelExpertsPerItem * channelMacs) + (patches * width * ChannelExperts));

            var parameters = StemAndHeadParameters + (dense * DenseBlockParameters) + (sparse * block);
            return new ModelCost(parameters, parameters - (sparse * idle), StemAndHeadMacs + (dense * DenseBlockMacs) + (sparse * macs));
        }
    }

    /// <inheritdoc/>
    public override ImageClassifier Build(Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new SparseMlp(this, device, computeType);

    internal override void ValidateArchitecture()
    {
        base.ValidateArchitecture();
        if (SparseBlocks is null)
            throw new ArgumentException(
                $"{nameof(SparseBlocks)} is null; use {nameof(BlockPositions)}.{nameof(BlockPositions.None)} for a dense model.");
        if (!SparseBlocks.Fit(Blocks))
            throw new ArgumentException(
                $"{nameof(SparseBlocks)} is '{SparseBlocks}', but {nameof(Blocks)} is {Blocks}; positions count from 0.");
        if (!Enum.IsDefined(ReRepresented))
            throw new ArgumentException(
                $"{nameof(ReRepresented)} is {ReRepresented}; it must be one of {string.Join(", ", Enum.GetNames<ReRepresentedAxes>())}.");
        RequireAtLeast(1, InnerPatches ?? 1, nameof(InnerPatches));
        RequireAtLeast(1, InnerWidth ?? 1, nameof(InnerWidth));
        if (UsedInnerWidth < 1)
            throw new ArgumentException(
                $"{nameof(InnerWidth)} is null, which is half of {nameof(Width)} ({Width}); it must be at least 1.");
        RequireAtLeast(1, SpatialExpertWidth, nameof(SpatialExpertWidth));
        RequireAtLeast(1, ChannelExpertWidth, nameof(ChannelExpertWidth));
        if (ReRepresented != ReRepresentedAxes.PatchesAndChannels && UsedInnerWidth != Width)
            throw new ArgumentException(
                $"{nameof(InnerWidth)} is {InnerWidth}, but {nameof(ReRepresented)} is {ReRepresented}; it must be null or "
                    + $"{nameof(Width)} ({Width}).");
        RequireChoices(SpatialExperts, nameof(SpatialExperts), SpatialExpertsPerItem, nameof(SpatialExpertsPerItem));
        RequireChoices(ChannelExperts, nameof(ChannelExperts), ChannelExpertsPerItem, nameof(ChannelExpertsPerItem));
        if (!(RouterNoise >= 0) || double.IsInfinity(RouterNoise))
            throw new ArgumentException($"{nameof(RouterNoise)} is {RouterNoise}; it must be a finite number of at least 0.");
        if (!(BalanceLossWeight >= 0) || double.IsInfinity(BalanceLossWeight))
            throw new ArgumentException($"{nameof(BalanceLossWeight)} is {BalanceLossWeight}; it must be a finite number of at least 0.");
        TrainingCapacity?.ValidateForTraining();
        EvaluationCapacity?.ValidateForEvaluation();
    }

    private protected override void ValidatePatches()
    {
        if (ReRepresented == ReRepresentedAxes.None && UsedInnerPatches != Patches)
            throw new ArgumentException(
                $"{nameof(InnerPatches)} is {InnerPatches}, but {nameof(ReRepresented)} is {ReRepresented}; it must be null or the "
                    + $"image's {Patches} patches.");
    }

    private static void RequireChoices(int experts, string expertsName, int choices, string choicesName)
    {
        RequireAtLeast(0, experts, expertsName);
        if (experts > 0 && (choices < 1 || choices > experts))
            throw new ArgumentException($"{choicesName} is {choices}; it must be between 1 and {expertsName} ({experts}).");
    }

    private TopKRouterOptions Router(int experts, int choices) =>
        new()
        {
            Experts = experts,
            ExpertsPerToken = choices,
            NoiseScale = RouterNoise,
            RenormalizeGates = RenormalizeGates,
            BalancingLoss = BalancingLoss.ImportanceAndLoad,
        };

    // Both layers of a block.
    private long ReRepresentParameters(long patches, long width)
    {
        checked
        {
            var rescaledPatches =
                ReRepresented == ReRepresentedAxes.None ? 0 : (2 * LayerNorm(Width)) + Linear(Patches, patches) + Linear(patches, Patches);
            var rescaledChannels =
                ReRepresented == ReRepresentedAxes.PatchesAndChannels
                    ? LayerNorm(Width) + LayerNorm(width) + Linear(Width, width) + Linear(width, Width)
                    : 0;
            return rescaledPatches + rescaledChannels;
        }
    }

    private long ReRepresentMacs(long patches, long width)
    {
        checked
        {
            var rescaledPatches = ReRepresented == ReRepresentedAxes.None ? 0 : 2L * Patches * patches * Width;
            var rescaledChannels = ReRepresented == ReRepresentedAxes.PatchesAndChannels ? 2L * patches * Width * width : 0;
            return rescaledPatches + rescaledChannels;
        }
    }
}

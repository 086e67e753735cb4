using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Configuration of a <see cref="VisionTransformer"/>: ViT (arXiv 2010.11929) and ViT-MoE, the models that the WideNet paper compares with.
/// Without <see cref="MixtureBlocks"/> every block is dense.
/// </summary>
public sealed record VisionTransformerConfig : TransformerClassifierConfig
{
    /// <summary>The defaults.</summary>
    public VisionTransformerConfig()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
    public VisionTransformerConfig(VisionTransformerConfig original) : base(original) => DeclaredFields.Copy(original, this);

    /// <summary>Hidden width of the dense feed-forward layers. Default 3072.</summary>
    public int FeedForwardWidth { get; init; } = 3072;

    /// <summary>How many of the last blocks have a mixture of experts instead of a dense layer. Default 0.</summary>
    public int MixtureBlocks { get; init; }

    /// <summary>ViT-B/16: 87M parameters.</summary>
    public static VisionTransformerConfig Base { get; } =
        new() { ClassToken = ClassToken.Learned, Pooling = Pooling.ClassToken, Representation = true, Experts = 0 };

    /// <summary>ViT-L/16: 305M parameters.</summary>
    public static VisionTransformerConfig Large { get; } = Base with { Width = 1024, Heads = 16, Blocks = 24, FeedForwardWidth = 4096 };

    /// <summary>
    /// ViT-MoE-B/16: the last 2 blocks have 4 experts of 4096; 128M parameters. That there are 2 is inferred from the published count.
    /// </summary>
    public static VisionTransformerConfig MoeBase { get; } =
        Base with { ClassToken = ClassToken.Zero, Pooling = Pooling.Mean, Experts = 4, MixtureBlocks = 2 };

    /// <summary>
    /// ViT-MoE-L/16: the last 4 blocks have 4 experts of 4096; 406M parameters. That there are 4 is inferred from the published count.
    /// </summary>
    public static VisionTransformerConfig MoeLarge { get; } =
        Large with { ClassToken = ClassToken.Zero, Pooling = Pooling.Mean, Experts = 4, MixtureBlocks = 4 };

    /// <summary>A dense size that trains on a CPU in minutes: 28×28 grey images, 4 blocks of width 96.</summary>
    public static VisionTransformerConfig Small { get; } = new()
    {
        ImageHeight = 28,
        ImageWidth = 28,
        Channels = 1,
        PatchSize = 4,
        ClassCount = 10,
        Width = 96,
        Heads = 4,
        Blocks = 4,
        FeedForwardWidth = 384,
        Experts = 0,
        Dropout = 0,
        PositionDeviation = 0.3,
    };

    /// <summary><see cref="Small"/> with 4 experts of 192 in the last 2 blocks.</summary>
    public static VisionTransformerConfig MoeSmall { get; } = Small with { Experts = 4, ExpertWidth = 192, MixtureBlocks = 2 };

    /// <summary><see cref="WideNetConfig.Thumbnail"/>'s dense counterpart, of as many multiply-adds.</summary>
    public static VisionTransformerConfig Thumbnail { get; } = Small with
    {
        Stem = new(),
        ClassToken = ClassToken.None,
        Pooling = Pooling.Attention,
        Width = 64,
        Blocks = 3,
        FeedForwardWidth = 256,
    };

    /// <summary><see cref="Thumbnail"/> with 4 experts of 128 in the last block.</summary>
    public static VisionTransformerConfig MoeThumbnail { get; } = Thumbnail with { Experts = 4, ExpertWidth = 128, MixtureBlocks = 1 };

    /// <summary><see cref="WideNetConfig.Compact"/>'s dense counterpart, of as many multiply-adds.</summary>
    public static VisionTransformerConfig Compact { get; } = Thumbnail with
    {
        ImageHeight = 224,
        ImageWidth = 224,
        Channels = 3,
        PatchSize = 16,
        Stem = new() { Halving = StemHalving.Stride },
        Width = 128,
        Blocks = 4,
        FeedForwardWidth = 512,
    };

    /// <summary>A dense size for tests: 8×8 colour images, 3 blocks of width 16.</summary>
    public static VisionTransformerConfig Tiny { get; } = new()
    {
        ImageHeight = 8,
        ImageWidth = 8,
        Channels = 3,
        PatchSize = 4,
        ClassCount = 4,
        Width = 16,
        Heads = 2,
        Blocks = 3,
        FeedForwardWidth = 64,
        ClassToken = ClassToken.Learned,
        Pooling = Pooling.ClassToken,
        Experts = 0,
        Dropout = 0,
        PositionDeviation = 0.3,
    };

    /// <summary><see cref="Tiny"/> with 4 experts of 32 in the last block.</summary>
    public static VisionTransformerConfig MoeTiny { get; } =
        Tiny with { ClassToken = ClassToken.Zero, Pooling = Pooling.Mean, Experts = 4, ExpertWidth = 32, MixtureBlocks = 1 };

    private protected override ImageClassifierConfig? DenseCounterpart(ImageClassifierConfig earlier)
    {
        if (MixtureBlocks == 0 || earlier is not VisionTransformerConfig { MixtureBlocks: 0 } dense)
            return null;
        RequireExpertsAsWide(ExpertWidth, nameof(ExpertWidth), dense.FeedForwardWidth, nameof(FeedForwardWidth));
        return this with
        {
            MixtureBlocks = 0,
            Experts = 0,
            ExpertsPerToken = dense.ExpertsPerToken,
            ExpertWidth = dense.ExpertWidth,
            RenormalizeGates = dense.RenormalizeGates,
            EvaluationCapacity = dense.EvaluationCapacity,
        };
    }

    /// <inheritdoc/>
    public override ModelCost GetCost()
    {
        checked   // a size that no machine can hold is an OverflowException, not a small number
        {
            long dense = Blocks - MixtureBlocks;
            var expert = FeedForwardParameters(ExpertWidth);
            var parameters =
                StemAndHeadParameters
                + (Blocks * ((2 * LayerNormParameters) + AttentionParameters))
                + (dense * FeedForwardParameters(FeedForwardWidth))
                + (MixtureBlocks * ((Experts * expert) + RouterParameters));
            var macs =
                StemAndHeadMacs
                + (Blocks * AttentionMacs)
                + (dense * FeedForwardMacs(FeedForwardWidth))
                + (MixtureBlocks * (ChosenExpertsMacs + RouterMacs));
            return new ModelCost(parameters, parameters - (MixtureBlocks * (Experts - ExpertsPerToken) * expert), macs);
        }
    }

    /// <inheritdoc/>
    public override ImageClassifier Build(Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new VisionTransformer(this, device, computeType);

    internal override void ValidateArchitecture()
    {
        base.ValidateArchitecture();
        RequireAtLeast(1, FeedForwardWidth, nameof(FeedForwardWidth));
        if (MixtureBlocks < 0 || MixtureBlocks > Blocks)
            throw new ArgumentException(
                $"{nameof(MixtureBlocks)} is {MixtureBlocks}; it must be between 0 and {nameof(Blocks)} ({Blocks}).");
        if (MixtureBlocks > 0 != Experts > 0)
            throw new ArgumentException(
                $"{nameof(MixtureBlocks)} is {MixtureBlocks} and {nameof(Experts)} is {Experts}; either both are 0 or neither.");
    }
}

using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Configuration of a <see cref="WideNet"/>. The papers' sizes are <see cref="Base"/>, <see cref="Large"/> and <see cref="Huge"/> (arXiv
/// 2107.11817, table 6, and the authors' code); the ablations of its section 4 are the properties below.
/// </summary>
public sealed record WideNetConfig : TransformerClassifierConfig
{
    /// <summary>The defaults.</summary>
    public WideNetConfig()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
    public WideNetConfig(WideNetConfig original) : base(original) => DeclaredFields.Copy(original, this);

    /// <summary>
    /// Whether one attention module and one feed-forward layer or mixture serve all blocks. Default true; false gives every block its own.
    /// </summary>
    public bool ShareParameters { get; init; } = true;

    /// <summary>
    /// Whether one pair of LayerNorms serves all blocks. Default false: individual LayerNorms are what tells the blocks apart.
    /// </summary>
    public bool ShareLayerNorms { get; init; }

    /// <summary>
    /// Hidden width of the dense feed-forward layer where <see cref="TransformerClassifierConfig.Experts"/> is 0. Default 3072.
    /// </summary>
    public int FeedForwardWidth { get; init; } = 3072;

    /// <summary>
    /// Number of routing groups G: consecutive blocks of a group use the same token-to-expert assignment. Null (default) for one group a
    /// block; otherwise a divisor of the blocks. Fewer groups than blocks need <see cref="ShareParameters"/>.
    /// </summary>
    public int? RoutingGroups { get; init; }

    /// <summary>What the later blocks of a group take over from its first.</summary>
    public RoutingReuse RoutingReuse { get; init; }

    /// <summary>WideNet-B: 12 blocks of width 768, 4 experts of 4096; 29M parameters.</summary>
    public static WideNetConfig Base { get; } = new() { ClassToken = ClassToken.Zero, Representation = true };

    /// <summary>WideNet-L: 24 blocks of width 1024, 4 experts of 4096; 40M parameters.</summary>
    public static WideNetConfig Large { get; } = Base with { Width = 1024, Heads = 16, Blocks = 24 };

    /// <summary>
    /// WideNet-H: 32 blocks of width 1280, 4 experts of 5120; 63M parameters. Patches are 16×16 as in the authors' code, whose
    /// configuration is named H/14.
    /// </summary>
    public static WideNetConfig Huge { get; } = Base with { Width = 1280, Heads = 16, Blocks = 32, ExpertWidth = 5120 };

    /// <summary>A size that trains on a CPU in minutes: 28×28 grey images, 4 blocks of width 96, 4 experts of 192.</summary>
    public static WideNetConfig Small { get; } = new()
    {
        ImageHeight = 28,
        ImageWidth = 28,
        Channels = 1,
        PatchSize = 4,
        ClassCount = 10,
        Width = 96,
        Heads = 4,
        Blocks = 4,
        ExpertWidth = 192,
        Dropout = 0,
        PositionDeviation = 0.3,
    };

    /// <summary>
    /// For few images of 28 to 64 pixels: a stem of two convolutions, 3 blocks of width 64, 8 experts of 128. Of 28×28 grey pixels it makes
    /// 7×7 tokens with 12M multiply-adds, a third of which are the stem's.
    /// </summary>
    public static WideNetConfig Thumbnail { get; } = Small with
    {
        Stem = new(),
        Pooling = Pooling.Attention,
        Width = 64,
        Blocks = 3,
        Experts = 8,
        ExpertWidth = 128,
    };

    /// <summary>
    /// For few photographs of up to 224 pixels: a stem of four strided convolutions, 4 blocks of width 128, 8 experts of 256. Of 224×224
    /// pixels it makes 14×14 tokens with 243M multiply-adds, a fifth of which are the stem's.
    /// </summary>
    public static WideNetConfig Compact { get; } = Thumbnail with
    {
        ImageHeight = 224,
        ImageWidth = 224,
        Channels = 3,
        PatchSize = 16,
        Stem = new() { Halving = StemHalving.Stride },
        Width = 128,
        Blocks = 4,
        ExpertWidth = 256,
    };

    /// <summary>A size for tests: 8×8 colour images, 3 blocks of width 16, 4 experts of 32.</summary>
    public static WideNetConfig Tiny { get; } = new()
    {
        ImageHeight = 8,
        ImageWidth = 8,
        Channels = 3,
        PatchSize = 4,
        ClassCount = 4,
        Width = 16,
        Heads = 2,
        Blocks = 3,
        ExpertWidth = 32,
        Dropout = 0,
        PositionDeviation = 0.3,
    };

    // Blocks that route together.
    internal int BlocksPerGroup => Blocks / (RoutingGroups ?? Blocks);

    /// <inheritdoc/>
    public override ModelCost GetCost()
    {
        checked   // a size that no machine can hold is an OverflowException, not a small number
        {
            long copies = ShareParameters ? Math.Min(1, Blocks) : Blocks;
            var layerNorms = (ShareLayerNorms ? Math.Min(1, Blocks) : Blocks) * 2 * LayerNormParameters;
            var block =
                AttentionParameters
                + (
                    Experts == 0
                        ? FeedForwardParameters(FeedForwardWidth)
                        : (Experts * FeedForwardParameters(ExpertWidth)) + RouterParameters);
            var idle = Experts == 0 ? 0 : (Experts - ExpertsPerToken) * FeedForwardParameters(ExpertWidth);
            var parameters = StemAndHeadParameters + layerNorms + (copies * block);
            long routers =
                Experts == 0 ? 0
                : RoutingReuse == RoutingReuse.ExpertsAndGates ? RoutingGroups ?? Blocks
                : Blocks;
            var macs =
                StemAndHeadMacs
                + (Blocks * (AttentionMacs + (Experts == 0 ? FeedForwardMacs(FeedForwardWidth) : ChosenExpertsMacs)))
                + (routers * RouterMacs);
            return new ModelCost(parameters, parameters - (copies * idle), macs);
        }
    }

    /// <inheritdoc/>
    public override ImageClassifier Build(Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new WideNet(this, device, computeType);

    internal override void ValidateArchitecture()
    {
        base.ValidateArchitecture();
        RequireAtLeast(1, FeedForwardWidth, nameof(FeedForwardWidth));
        if (RoutingGroups is not { } groups)
            return;
        if (Experts == 0)
            throw new ArgumentException(
                $"{nameof(RoutingGroups)} is {groups}, but {nameof(Experts)} is 0; a model without experts does not route.");
        if (groups < 1 || Blocks % groups != 0)
            throw new ArgumentException($"{nameof(RoutingGroups)} is {groups}; it must divide {nameof(Blocks)} ({Blocks}).");
        if (groups < Blocks && !ShareParameters)
        {
            // Expert i of one block is not expert i of the next then, and the routers of all but a group's first block would never run.
            throw new ArgumentException(
                $"{nameof(RoutingGroups)} is {groups} and {nameof(ShareParameters)} is false; blocks that do not share their experts "
                    + "cannot share an assignment: "
                + $"set {nameof(RoutingGroups)} to null or {nameof(ShareParameters)} to true.");
        }
    }
}

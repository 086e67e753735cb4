using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// What <see cref="VisionTransformerConfig"/> and <see cref="WideNetConfig"/> have in common: patches, blocks, heads, mixture,
/// classification head.
/// </summary>
public abstract record TransformerClassifierConfig : ImageClassifierConfig
{
    /// <summary>Model width D, a multiple of <see cref="Heads"/>. Default 768.</summary>
    public int Width { get; init; } = 768;

    /// <summary>Attention heads. Default 12.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>Transformer blocks, at least 1, or with a stem 0: a plain convolutional network then. Default 12.</summary>
    public int Blocks { get; init; } = 12;

    /// <summary>
    /// Probability of dropping a value after the embedding, the attention and the feed-forward layer, 0 to below 1. Training only. Default
    /// 0.1.
    /// </summary>
    public double Dropout { get; init; } = 0.1;

    /// <summary>
    /// Stochastic depth (arXiv 1603.09382): probability that an image skips the last block's attention, and its feed-forward layer, while
    /// training; 0 to below 1. It rises linearly over the blocks, from 0 at the first. Skipping tokens are still routed, and take up
    /// capacity. Default 0.
    /// </summary>
    public double DropPath { get; init; }

    /// <summary>What stands before the patches.</summary>
    public ClassToken ClassToken { get; init; }

    /// <summary>Whether a linear layer with tanh stands between pooling and classes. Default false; the papers' sizes have it.</summary>
    public bool Representation { get; init; }

    /// <summary>
    /// Whether the last LayerNorm comes after the mean over the tokens, not before it. Default false; timm's Vision Transformers with
    /// average pooling have it so.
    /// </summary>
    public bool NormAfterPooling { get; init; }

    /// <summary>What the position embedding is at the start. Default: random numbers.</summary>
    public PositionStart PositionStart { get; init; }

    /// <summary>
    /// Root mean square of the position embedding at the start. Default 0.02, as in the papers; the small sizes learn faster from 0.3.
    /// </summary>
    public double PositionDeviation { get; init; } = 0.02;

    /// <summary>Experts E of a mixture; 0 makes every feed-forward layer dense. Default 4.</summary>
    public int Experts { get; init; } = 4;

    /// <summary>Experts K that each token is sent to. Default 2.</summary>
    public int ExpertsPerToken { get; init; } = 2;

    /// <summary>Hidden width of an expert. Default 4096.</summary>
    public int ExpertWidth { get; init; } = 4096;

    /// <summary>Noise of the router while training, standard deviation as a multiple of 1/E. Default 1.</summary>
    public double RouterNoise { get; init; } = 1;

    /// <summary>
    /// Whether the gates of the chosen experts are divided by their sum, so that they sum to 1. Default false, as in the papers; a dense
    /// network that becomes a sparse one goes on as it was only with true (arXiv 2212.05055, section 3).
    /// </summary>
    public bool RenormalizeGates { get; init; }

    /// <summary>Limit of tokens per expert while training; null for none. Default: C = 1.2.</summary>
    public ExpertCapacity? TrainingCapacity { get; init; } = new();

    /// <summary>
    /// Limit of tokens per expert in evaluation, counted within each image, whose scores so depend on no other; null (default) for none.
    /// </summary>
    public ExpertCapacity? EvaluationCapacity { get; init; }

    /// <summary>Weight λ of the balance losses, which are summed over the routing operations. Default 0.01 (WideNet, equation 8).</summary>
    public double BalanceLossWeight { get; init; } = 0.01;

    internal override ImageClassifierConfig WithBalanceLossWeight(double weight) => this with { BalanceLossWeight = weight };

    // Positions are interpolated; how they started does not matter any more.
    private protected override IEnumerable<string> FreeProperties =>
    [
        .. base.FreeProperties, nameof(ImageHeight), nameof(ImageWidth), nameof(PositionStart), nameof(PositionDeviation),
        nameof(Dropout), nameof(DropPath), nameof(RouterNoise), nameof(TrainingCapacity), nameof(BalanceLossWeight),
    ];

    private protected override int MatrixWidth => Width;

    internal override int FeatureWidth => Width;

    // Tokens of an image: its patches, and the class token where there is one.
    internal int Tokens => Patches + (ClassToken == ClassToken.None ? 0 : 1);

    internal override void ValidateArchitecture()
    {
        base.ValidateArchitecture();
        RequireAtLeast(1, Width, nameof(Width));
        RequireAtLeast(1, Heads, nameof(Heads));
        RequireAtLeast(Stem is null ? 1 : 0, Blocks, nameof(Blocks));
        RequireAtLeast(0, Experts, nameof(Experts));
        if (Width % Heads != 0)
            throw new ArgumentException(
                $"{nameof(Width)} is {Width} and {nameof(Heads)} is {Heads}; the width must be a multiple of the heads.");
        if (!(Dropout >= 0 && Dropout < 1))
            throw new ArgumentException($"{nameof(Dropout)} is {Dropout}; it must be at least 0 and below 1.");
        if (!(DropPath >= 0 && DropPath < 1))
            throw new ArgumentException($"{nameof(DropPath)} is {DropPath}; it must be at least 0 and below 1.");
        if (!(PositionDeviation >= 0) || double.IsInfinity(PositionDeviation))
            throw new ArgumentException($"{nameof(PositionDeviation)} is {PositionDeviation}; it must be a finite number of at least 0.");
        if (!Enum.IsDefined(PositionStart))
            throw new ArgumentException(
                $"{nameof(PositionStart)} is {PositionStart}; it must be {nameof(PositionStart.Random)} or "
                    + $"{nameof(PositionStart.SineCosine)}.");
        if (PositionStart == PositionStart.SineCosine && Width % 4 != 0)
            throw new ArgumentException(
                $"{nameof(PositionStart)} is {PositionStart} and {nameof(Width)} is {Width}; the width must be a multiple of 4.");
        if (Pooling == Pooling.ClassToken && ClassToken != ClassToken.Learned)
            throw new ArgumentException(
                $"{nameof(Pooling)} is {nameof(Pooling.ClassToken)}, but {nameof(ClassToken)} is {ClassToken}; it must be "
                    + $"{nameof(ClassToken.Learned)}.");
        if (NormAfterPooling && Pooling != Pooling.Mean)
            throw new ArgumentException(
                $"{nameof(NormAfterPooling)} is set, but {nameof(Pooling)} is {Pooling}; it must be {nameof(Pooling.Mean)}.");
        if (!(BalanceLossWeight >= 0) || double.IsInfinity(BalanceLossWeight))
            throw new ArgumentException($"{nameof(BalanceLossWeight)} is {BalanceLossWeight}; it must be a finite number of at least 0.");
        if (Experts > 0)
            MixtureOptions.Validate();
    }

    internal MixtureOfExpertsOptions MixtureOptions => new()
    {
        Router = new TopKRouterOptions
        {
            Experts = Experts,
            ExpertsPerToken = ExpertsPerToken,
            NoiseScale = RouterNoise,
            RenormalizeGates = RenormalizeGates,
        },
        ExpertWidth = ExpertWidth,
        TrainingCapacity = TrainingCapacity,
        EvaluationCapacity = EvaluationCapacity,
    };

    // Sizes of parts, for costs. Lin(a, b) = a·b + b.
    private protected static long Linear(long inputs, long outputs) => checked((inputs * outputs) + outputs);

    private protected long FeedForwardParameters(long hidden) => checked(Linear(Width, hidden) + Linear(hidden, Width));

    private protected long AttentionParameters => 4 * Linear(Width, Width);

    private protected long RouterParameters => (long)Width * Experts;

    private protected long LayerNormParameters => 2L * Width;

    private protected long StemAndHeadParameters =>
        checked(
            EmbeddingParameters(Width)
            + PoolingParameters(Width)
            + ((long)Tokens * Width)
            + (ClassToken == ClassToken.Learned ? Width : 0)
            + LayerNormParameters
            + (Representation ? Linear(Width, Width) : 0)
            + Linear(Width, ClassCount));

    private protected long StemAndHeadMacs =>
        checked(
            EmbeddingMacs(Width)
            + PoolingMacs(Width, Tokens)
            + (Representation ? (long)Width * Width : 0)
            + ((long)Width * ClassCount));

    private protected long AttentionMacs => checked((4L * Tokens * Width * Width) + (2L * Tokens * Tokens * Width));

    private protected long FeedForwardMacs(long hidden) => checked(2L * Tokens * Width * hidden);

    private protected long ChosenExpertsMacs => checked(ExpertsPerToken * FeedForwardMacs(ExpertWidth));

    private protected long RouterMacs => checked(Tokens * RouterParameters);
}

using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// A Transformer that reads a text, or a pair of texts, in both directions: BERT (arXiv 1810.04805), ALBERT (arXiv 1909.11942), and the
/// language variant of WideNet (arXiv 2107.11817, section 5), whose one block of attention and experts serves all depth. LayerNorms come
/// after the layers.
/// </summary>
public sealed record TextEncoderConfig
{
    // Below this width casting to bfloat16 costs a CPU more than the faster products save.
    private const int LeastWidthForBFloat16 = 256;

    /// <summary>The defaults.</summary>
    public TextEncoderConfig()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
    public TextEncoderConfig(TextEncoderConfig original) => DeclaredFields.Copy(original, this);

    /// <summary>Number of tokens V that are known. Default 30,000.</summary>
    public int VocabularySize { get; init; } = 30_000;

    /// <summary>
    /// Width of the vectors of tokens, positions and segments, at least 1. Another one than <see cref="Width"/> is brought to it by a
    /// linear layer ("factorised", ALBERT, section 3.1). Default 128.
    /// </summary>
    public int EmbeddingWidth { get; init; } = 128;

    /// <summary>Model width D, a multiple of <see cref="Heads"/>. Default 768.</summary>
    public int Width { get; init; } = 768;

    /// <summary>Attention heads. Default 12.</summary>
    public int Heads { get; init; } = 12;

    /// <summary>Blocks, at least 1. Default 12.</summary>
    public int Blocks { get; init; } = 12;

    /// <summary>Hidden width of a dense feed-forward layer. Default 3072.</summary>
    public int FeedForwardWidth { get; init; } = 3072;

    /// <summary>The longest text in tokens, at least 1. Default 512.</summary>
    public int MaxTokens { get; init; } = 512;

    /// <summary>Segments: 2 for the two texts of a pair, 1 for none. Default 2.</summary>
    public int Segments { get; init; } = 2;

    /// <summary>What LayerNorms add to the variance. Default 1e-12, as in BERT.</summary>
    public double NormEpsilon { get; init; } = 1e-12;

    /// <summary>The form of GELU in dense feed-forward layers; experts have the exact one. Default: the exact one.</summary>
    public GeluForm Gelu { get; init; }

    /// <summary>Whether one attention module and one feed-forward layer or mixture serve all blocks. Default false.</summary>
    public bool ShareParameters { get; init; }

    /// <summary>Whether one pair of LayerNorms serves all blocks, as in ALBERT. Default false.</summary>
    public bool ShareLayerNorms { get; init; }

    /// <summary>Whether a linear layer with tanh makes a vector of the first token. Default true.</summary>
    public bool Pooler { get; init; } = true;

    /// <summary>Experts E of a mixture; 0 (default) makes every feed-forward layer dense.</summary>
    public int Experts { get; init; }

    /// <summary>Experts K that each token is sent to. Default 2.</summary>
    public int ExpertsPerToken { get; init; } = 2;

    /// <summary>Hidden width of an expert. Default 3072.</summary>
    public int ExpertWidth { get; init; } = 3072;

    /// <summary>Noise of the router while training, standard deviation as a multiple of 1/E. Default 1.</summary>
    public double RouterNoise { get; init; } = 1;

    /// <summary>
    /// Whether the gates of the chosen experts are divided by their sum, so that they sum to 1. Default false, as in the papers; a dense
    /// network that becomes a sparse one goes on as it was only with true (arXiv 2212.05055, section 3).
    /// </summary>
    public bool RenormalizeGates { get; init; }

    /// <summary>Limit of tokens per expert while training; null for none. Default: C = 1.2.</summary>
    public ExpertCapacity? TrainingCapacity { get; init; } = new();

    /// <summary>Weight λ of the balance losses, which are summed over the blocks. Default 0.01.</summary>
    public double BalanceLossWeight { get; init; } = 0.01;

    /// <summary>
    /// Probability of dropping a value after the embedding and after each layer, 0 to below 1. Training only. Default 0.1.
    /// </summary>
    public double Dropout { get; init; } = 0.1;

    /// <summary>BERT of the paper's comparison: 12 blocks of width 768, vectors of tokens of width 128; 89.65M parameters.</summary>
    public static TextEncoderConfig BertBase { get; } = new();

    /// <summary>ALBERT of the paper's comparison: one block for all depth, LayerNorms too; 11.68M parameters.</summary>
    public static TextEncoderConfig AlbertBase { get; } = new() { ShareParameters = true, ShareLayerNorms = true };

    /// <summary>The language variant of WideNet with 4 experts: LayerNorms of each block's own; 25.89M parameters.</summary>
    public static TextEncoderConfig WideNetBase { get; } = new() { ShareParameters = true, Experts = 4 };

    /// <summary>A size for tests: 60 tokens, 3 blocks of width 16.</summary>
    public static TextEncoderConfig Tiny { get; } = new()
    {
        VocabularySize = 60,
        EmbeddingWidth = 8,
        Width = 16,
        Heads = 2,
        Blocks = 3,
        FeedForwardWidth = 32,
        ExpertWidth = 32,
        MaxTokens = 24,
        Dropout = 0,
    };

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
    };

    private int OwnNorms => ShareLayerNorms ? 1 : Blocks;

    private int OwnLayers => ShareParameters ? 1 : Blocks;

    /// <summary>
    /// Parameters, active parameters, and multiply-adds of a text of <see cref="MaxTokens"/>. Allocates no weights.
    /// </summary>
    /// <exception cref="OverflowException">A figure is beyond 64 bits.</exception>
    public ModelCost GetCost()
    {
        checked
        {
            var expert = Network(ExpertWidth);
            long router = Experts == 0 ? 0 : (long)Width * Experts;
            var slot = Experts == 0 ? Network(FeedForwardWidth) : (Experts * expert) + router;
            var idle = Experts == 0 ? 0 : OwnLayers * (Experts - ExpertsPerToken) * expert;
            var embedding = ((long)EmbeddingWidth * (VocabularySize + MaxTokens + Segments)) + (2L * EmbeddingWidth)
                + (EmbeddingWidth == Width ? 0 : Linear(EmbeddingWidth, Width));
            var parameters = embedding + (OwnNorms * 4L * Width) + (OwnLayers * ((4 * Linear(Width, Width)) + slot))
                + (Pooler ? Linear(Width, Width) : 0);
            long tokens = MaxTokens, width = Width;
            var block = (4 * tokens * width * width) + (2 * tokens * tokens * width) + (tokens * router)
                + (2 * tokens * width * (Experts == 0 ? FeedForwardWidth : (long)ExpertsPerToken * ExpertWidth));
            var macs = (EmbeddingWidth == Width ? 0 : tokens * EmbeddingWidth * width) + (Blocks * block) + (Pooler ? width * width : 0);
            return new ModelCost(parameters, parameters - idle, macs);
        }
    }

    /// <summary>Makes the network with fresh random weights.</summary>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products, float32 (default) or bfloat16. Weights are float32 either way.</param>
    /// <exception cref="ArgumentException">A property is out of range; the message names it, the value found and the value
    /// wanted.</exception>
    public TextEncoder Build(Device? device = null, ScalarType computeType = ScalarType.Float32) => new(this, device, computeType);

    /// <summary>
    /// The type of this network's matrix products: <see cref="Precision.Auto"/> is float32 for a narrow one on a CPU, whatever the
    /// hardware has. </summary>
    internal ScalarType ComputeType(Precision precision, Device device) =>
        precision == Precision.Auto && device.type == DeviceType.CPU && Width < LeastWidthForBFloat16
            ? ScalarType.Float32
            : precision.Resolve(device);

    /// <summary>
    /// Whether a network of this configuration can take over the weights of another: it differs in what acts while training alone, or it is
    /// the mixture, each of whose experts begins as the dense layer of the other (arXiv 2212.05055); LayerNorms that all blocks of the
    /// other share may be each block's own then, as in a WideNet that begins as an ALBERT.
    /// </summary>
    /// <param name="other">The other's configuration.</param>
    internal bool CanGrowOutOf(TextEncoderConfig other)
    {
        var grows = Experts > 0 && other.Experts == 0;
        var same = other with
        {
            VocabularySize = VocabularySize,
            Pooler = Pooler,
            Dropout = Dropout,
            BalanceLossWeight = BalanceLossWeight,
            RouterNoise = RouterNoise,
            TrainingCapacity = TrainingCapacity,
        };
        if (grows)
        {
            same = same with
            {
                Experts = Experts,
                ExpertsPerToken = ExpertsPerToken,
                ExpertWidth = other.FeedForwardWidth,
                RenormalizeGates = RenormalizeGates,
                ShareLayerNorms = other.ShareLayerNorms && ShareLayerNorms,
            };
        }
        return same == this;
    }

    internal void Validate()
    {
        OptionChecks.AtLeast(1, VocabularySize, nameof(VocabularySize));
        OptionChecks.AtLeast(1, EmbeddingWidth, nameof(EmbeddingWidth));
        OptionChecks.AtLeast(1, Width, nameof(Width));
        OptionChecks.AtLeast(1, Heads, nameof(Heads));
        OptionChecks.AtLeast(1, Blocks, nameof(Blocks));
        OptionChecks.AtLeast(1, FeedForwardWidth, nameof(FeedForwardWidth));
        OptionChecks.AtLeast(1, MaxTokens, nameof(MaxTokens));
        OptionChecks.AtLeast(1, Segments, nameof(Segments));
        OptionChecks.AtLeast(0, Experts, nameof(Experts));
        OptionChecks.Above(0, NormEpsilon, nameof(NormEpsilon));
        OptionChecks.Defined(Gelu, nameof(Gelu));
        if (Width % Heads != 0)
            throw new ArgumentException(
                $"{nameof(Width)} is {Width} and {nameof(Heads)} is {Heads}; the width must be a multiple of the heads.");
        if (!(Dropout >= 0 && Dropout < 1))
            throw new ArgumentException($"{nameof(Dropout)} is {Dropout}; it must be at least 0 and below 1.");
        if (!(BalanceLossWeight >= 0) || double.IsInfinity(BalanceLossWeight))
            throw new ArgumentException($"{nameof(BalanceLossWeight)} is {BalanceLossWeight}; it must be a finite number of at least 0.");
        if (Experts > 0)
            MixtureOptions.Validate();
    }

    private static long Linear(long inputs, long outputs) => checked((inputs * outputs) + outputs);

    private long Network(long hidden) => checked(Linear(Width, hidden) + Linear(hidden, Width));
}

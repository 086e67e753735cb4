using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What all Transformers on image patches can be told beyond <see cref="ImageClassificationOptions"/>: patches, width, heads, blocks, experts.</summary>
public abstract class TransformerClassifierOptions : ImageClassificationOptions
{
    private protected TransformerClassifierOptions(TransformerClassifierConfig architecture)
    {
        ArgumentNullException.ThrowIfNull(architecture);
        PatchSize = architecture.PatchSize;
        Width = architecture.Width;
        Heads = architecture.Heads;
        Blocks = architecture.Blocks;
        Experts = architecture.Experts;
        ExpertsPerToken = architecture.ExpertsPerToken;
        ExpertWidth = architecture.ExpertWidth;
        CapacityFactor = architecture.TrainingCapacity?.Factor;
        RouterNoise = architecture.RouterNoise;
        Dropout = architecture.Dropout;
        DropPath = architecture.DropPath;
        PositionStart = architecture.PositionStart;
    }

    /// <summary>
    /// Side of a square patch in pixels, a divisor of the images' height and width. Null (the default without a preset): the largest divisor that gives at least 7 patches a side, at
    /// most 16; images for which that makes more than 1,024 patches are refused, since attention takes time with the square of that number. With <see cref="ImageClassificationOptions.InitialModel"/>: that model's.
    /// </summary>
    public int? PatchSize { get; set; }

    /// <summary>Width of the model, a multiple of <see cref="Heads"/>. Default 96.</summary>
    public int Width { get; set; }

    /// <summary>Attention heads. Default 4.</summary>
    public int Heads { get; set; }

    /// <summary>Transformer blocks. Default 4.</summary>
    public int Blocks { get; set; }

    /// <summary>Experts of a mixture; 0 makes every feed-forward layer dense.</summary>
    public int Experts { get; set; }

    /// <summary>Experts that each patch is sent to, 1 to <see cref="Experts"/>. Default 2.</summary>
    public int ExpertsPerToken { get; set; }

    /// <summary>Hidden width of an expert.</summary>
    public int ExpertWidth { get; set; }

    /// <summary>
    /// How many patches an expert accepts while training, as a multiple of an even share, at least 1; null for no limit. Default 1.2. Nothing is left out when predicting, unless the architecture that
    /// the options start from has an <see cref="TransformerClassifierConfig.EvaluationCapacity"/>, which counts within each image.
    /// </summary>
    public double? CapacityFactor { get; set; }

    /// <summary>Noise of the router while training, standard deviation as a multiple of 1/experts, at least 0. Default 1.</summary>
    public double RouterNoise { get; set; }

    /// <summary>Probability of dropping a value while training, 0 to below 1. Default 0; the paper's sizes have 0.1.</summary>
    public double Dropout { get; set; }

    /// <summary>Probability that an image skips the last block while training, 0 to below 1; it rises linearly over the blocks, from 0 at the first. Default 0; 0.1 is common.</summary>
    public double DropPath { get; set; }

    /// <summary>What the position embeddings are before training. Default: random numbers. Sines and cosines learn faster where training is short.</summary>
    public PositionStart PositionStart { get; set; }

    /// <summary>An architecture with these options in it, for images and classes as the data have them.</summary>
    private protected TConfig Apply<TConfig>(TConfig architecture, int height, int width, int channels, int classCount)
        where TConfig : TransformerClassifierConfig => architecture with
        {
            ImageHeight = height,
            ImageWidth = width,
            Channels = channels,
            ClassCount = classCount,
            PatchSize = PatchSize ?? StartingPoint?.Config.PatchSize ?? PatchSizes.Choose(height, width),
            Width = Width,
            Heads = Heads,
            Blocks = Blocks,
            Experts = Experts,
            ExpertsPerToken = ExpertsPerToken,
            ExpertWidth = ExpertWidth,
            TrainingCapacity = CapacityFactor is { } factor ? (architecture.TrainingCapacity ?? new ExpertCapacity()) with { Factor = factor } : null,
            BalanceLossWeight = BalanceLossWeight ?? architecture.BalanceLossWeight,
            RouterNoise = RouterNoise,
            Dropout = Dropout,
            DropPath = DropPath,
            PositionStart = PositionStart,
        };

    private protected override int FittingSide(int? other) => PatchSizes.FittingSide(PatchSize ?? StartingPoint?.Config.PatchSize, other);
}

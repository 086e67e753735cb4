namespace Microsoft.ML.MoE.Models;

/// <summary>
/// What <see cref="MlpMixerConfig"/> and <see cref="SparseMlpConfig"/> have in common: patches, blocks, the dense networks, classification
/// head.
/// </summary>
public abstract record MixerClassifierConfig : ImageClassifierConfig
{
    /// <summary>Channels C of a patch, the model's width. Default 768.</summary>
    public int Width { get; init; } = 768;

    /// <summary>Blocks, dense and sparse together. Default 12.</summary>
    public int Blocks { get; init; } = 12;

    /// <summary>Hidden width D_S of a dense block's spatial network. Default 384.</summary>
    public int SpatialWidth { get; init; } = 384;

    /// <summary>Hidden width D_C of a dense block's channel network. Default 3072.</summary>
    public int ChannelWidth { get; init; } = 3072;

    /// <summary>
    /// Stochastic depth (arXiv 1603.09382): probability that an image skips each of the last block's two branches while training; 0 to
    /// below 1. It rises linearly over the blocks, from 0 at the first. Default 0; the paper uses it in pre-training, at a rate that it
    /// does not give.
    /// </summary>
    public double DropPath { get; init; }

    private protected override int MatrixWidth => Width;

    internal override int FeatureWidth => Width;

    private protected override IEnumerable<string> FreeProperties => [.. base.FreeProperties, nameof(DropPath)];

    internal override void ValidateArchitecture()
    {
        base.ValidateArchitecture();
        RequireAtLeast(1, Width, nameof(Width));
        RequireAtLeast(1, Blocks, nameof(Blocks));
        RequireAtLeast(1, SpatialWidth, nameof(SpatialWidth));
        RequireAtLeast(1, ChannelWidth, nameof(ChannelWidth));
        if (Pooling == Pooling.ClassToken)
            throw new ArgumentException(
                $"{nameof(Pooling)} is {Pooling}, but a Mixer has no class token; it must be {nameof(Pooling.Mean)} or "
                    + $"{nameof(Pooling.Attention)}.");
        if (!(DropPath >= 0 && DropPath < 1))
            throw new ArgumentException($"{nameof(DropPath)} is {DropPath}; it must be at least 0 and below 1.");
    }

    // Sizes of parts, for costs. Lin(a, b) = a·b + b.
    private protected static long Linear(long inputs, long outputs) => checked((inputs * outputs) + outputs);

    private protected static long FeedForward(long width, long hidden) => checked(Linear(width, hidden) + Linear(hidden, width));

    private protected static long LayerNorm(long width) => 2 * width;

    private protected long StemAndHeadParameters =>
        checked(EmbeddingParameters(Width) + PoolingParameters(Width) + LayerNorm(Width) + Linear(Width, ClassCount));

    private protected long StemAndHeadMacs =>
        checked(EmbeddingMacs(Width) + PoolingMacs(Width, Patches) + ((long)Width * ClassCount));

    private protected long DenseBlockParameters =>
        checked(FeedForward(Patches, SpatialWidth) + FeedForward(Width, ChannelWidth) + (2 * LayerNorm(Width)));

    private protected long DenseBlockMacs => checked(2L * Patches * Width * ((long)SpatialWidth + ChannelWidth));
}

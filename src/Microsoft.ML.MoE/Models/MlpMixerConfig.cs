using Microsoft.ML.MoE.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Configuration of an <see cref="MlpMixer"/>, the dense model that the Sparse-MLP paper compares with (arXiv 2105.01601, table 1).
/// </summary>
public sealed record MlpMixerConfig : MixerClassifierConfig
{
    /// <summary>The defaults.</summary>
    public MlpMixerConfig()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
    public MlpMixerConfig(MlpMixerConfig original) : base(original)
    {
    }

    /// <summary>Mixer-S/16: 8 blocks of width 512; 18.0M parameters without the classifier.</summary>
    public static MlpMixerConfig S16 { get; } = new() { Width = 512, Blocks = 8, SpatialWidth = 256, ChannelWidth = 2048 };

    /// <summary>Mixer-B/16: 12 blocks of width 768; 59.1M parameters without the classifier.</summary>
    public static MlpMixerConfig B16 { get; } = new();

    /// <summary>Mixer-L/16: 24 blocks of width 1024; 207.2M parameters without the classifier.</summary>
    public static MlpMixerConfig L16 { get; } = new() { Width = 1024, Blocks = 24, SpatialWidth = 512, ChannelWidth = 4096 };

    /// <summary>A size that trains on a CPU in minutes: 28×28 grey images, 6 blocks of width 96.</summary>
    public static MlpMixerConfig Small { get; } = new()
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
    };

    /// <summary>About as many multiply-adds as <see cref="WideNetConfig.Thumbnail"/>: a stem, 4 blocks of width 64.</summary>
    public static MlpMixerConfig Thumbnail { get; } = Small with
    {
        Stem = new(),
        Pooling = Pooling.Attention,
        Width = 64,
        Blocks = 4,
        SpatialWidth = 64,
        ChannelWidth = 256,
    };

    /// <summary>About as many multiply-adds as <see cref="WideNetConfig.Compact"/>: a strided stem, 6 blocks of width 128.</summary>
    public static MlpMixerConfig Compact { get; } = Thumbnail with
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
    };

    /// <summary>A size for tests: 8×8 colour images, 2 blocks of width 16.</summary>
    public static MlpMixerConfig Tiny { get; } = new()
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
    };

    /// <inheritdoc/>
    public override ModelCost GetCost()
    {
        checked   // a size that no machine can hold is an OverflowException, not a small number
        {
            var parameters = StemAndHeadParameters + (Blocks * DenseBlockParameters);
            return new ModelCost(parameters, parameters, StemAndHeadMacs + (Blocks * DenseBlockMacs));
        }
    }

    /// <inheritdoc/>
    public override ImageClassifier Build(Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new MlpMixer(this, device, computeType);
}

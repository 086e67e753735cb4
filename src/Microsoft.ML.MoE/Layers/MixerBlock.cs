// A block of MLP-Mixer (arXiv 2105.01601, section 2): one network mixes the patches of each channel, another the channels of each patch.
//
//     y = x + T(MLP_S(T(LN(x))));   z = y + MLP_C(LN'(y))
//
// Axes: N = images, S = patches of an image, C = channels (model width).

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// A dense mixing block: a spatial network over the patches, shared by all channels, then a channel network over the channels, shared by
/// all patches.
/// </summary>
internal sealed class MixerBlock : nn.Module<Tensor, Tensor>
{
    private readonly (int Patches, int Width) size;
    private readonly ScalarType computeType;
    private readonly LayerNorm spatialNorm;
    private readonly FeedForward spatial;
    private readonly LayerNorm channelNorm;
    private readonly FeedForward channel;
    private readonly DropPath? dropPath;

    /// <summary>Makes a block.</summary>
    /// <param name="patches">Patches S of an image.</param>
    /// <param name="width">Channels C.</param>
    /// <param name="spatialWidth">Hidden width D_S of the spatial network.</param>
    /// <param name="channelWidth">Hidden width D_C of the channel network.</param>
    /// <param name="dropPath">Probability that an image skips a branch while training, 0 (default) to below 1.</param>
    /// <param name="computeType">Type of the matrix products; float32 by default.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">The probability is out of range.</exception>
    public MixerBlock(
        int patches,
        int width,
        int spatialWidth,
        int channelWidth,
        double dropPath = 0,
        ScalarType computeType = ScalarType.Float32,
        Device? device = null)
        : base(nameof(MixerBlock))
    {
        size = (patches, width);
        this.computeType = computeType;
        spatialNorm = new LayerNorm(width, device: device);
        spatial = new FeedForward(patches, spatialWidth, device);
        channelNorm = new LayerNorm(width, device: device);
        channel = new FeedForward(width, channelWidth, device);
        if (dropPath != 0)
            this.dropPath = new DropPath(dropPath);
        RegisterComponents();
    }

    /// <summary>Mixes.</summary>
    /// <param name="x_NSC">Patches, float32 (N, S, C).</param>
    /// <returns>Float32 (N, S, C).</returns>
    public override Tensor forward(Tensor x_NSC)
    {
        using var scope = NewDisposeScope();
        var y_NSC = x_NSC.Plus(MixPatches(x_NSC));
        var z_NSC = y_NSC.Plus(MixChannels(y_NSC));
        return z_NSC.MoveToOuterDisposeScope();
    }

    // T(MLP_S(T(LN(x))))
    private Tensor MixPatches(Tensor x_NSC) =>
        Branch(spatial.forward(spatialNorm.forward(x_NSC).to_type(computeType).transpose(1, 2)).transpose(1, 2));

    // MLP_C(LN'(y))
    private Tensor MixChannels(Tensor y_NSC) => Branch(channel.forward(channelNorm.forward(y_NSC).to_type(computeType)));

    private Tensor Branch(Tensor x_NSC) => dropPath is null ? x_NSC : dropPath.forward(x_NSC);

    /// <summary>The block in a plan: its weights as they are now.</summary>
    internal MixerStep ToStep() =>
        new(size.Patches, size.Width, spatialNorm.ToStep(), spatial.ToStep(), channelNorm.ToStep(), channel.ToStep());
}

// A sparse block of Sparse-MLP (arXiv 2109.02008, figure 1): a mixture of experts in each of the two directions of a Mixer block, between
// two re-represent layers.
//
//     x' = RR1(x);   y = x' + T(MoE_S(T(LN(x'))));   z = y + MoE_C(LN'(y));   RR2(z)
//
// There is no skip around the whole block: the figure shows only the two inner ones.
//
// Axes: N = images, S = patches, C = channels, as the block sees them; P = S′ patches and D = C′ channels between the re-represent layers;
// T = items that a mixture routes.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// A sparse mixing block. The spatial mixture routes the channels of each image, vectors over its patches; the channel mixture routes its
/// patches, vectors over the channels.
/// </summary>
public sealed class SparseMlpBlock : nn.Module<Tensor, SparseMlpBlockOutput>
{
    private readonly SparseMlpBlockOptions options;
    private readonly ScalarType computeType;
    private readonly ReRepresentation? enter;
    private readonly LayerNorm spatialNorm;
    private readonly FeedForward? spatial;
    private readonly MixtureOfExperts? spatialMixture;
    private readonly LayerNorm channelNorm;
    private readonly FeedForward? channel;
    private readonly MixtureOfExperts? channelMixture;
    private readonly ReRepresentation? leave;
    private readonly DropPath? dropPath;

    /// <summary>Makes a block.</summary>
    /// <param name="options">Sizes and mixtures.</param>
    /// <param name="computeType">Type of the matrix products; float32 by default. Routers always compute in float32.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">An option is out of range, or an inner size differs where it is not rescaled.</exception>
    public SparseMlpBlock(SparseMlpBlockOptions options, ScalarType computeType = ScalarType.Float32, Device? device = null)
        : base(nameof(SparseMlpBlock))
    {
        var (patches, width, innerPatches, innerWidth) = (options.Patches, options.Width, options.InnerPatches, options.InnerWidth);
        if (options.ReRepresented == ReRepresentedAxes.None && (innerPatches, innerWidth) != (patches, width))
        {
            throw new ArgumentException(
                $"Without re-represent layers the mixtures work on {patches} patches of {width} channels, not on {innerPatches} of "
                    + $"{innerWidth}.",
                nameof(options));
        }

        this.options = options;
        this.computeType = computeType;
        var rescalesChannels = options.ReRepresented == ReRepresentedAxes.PatchesAndChannels;
        if (options.ReRepresented != ReRepresentedAxes.None)
            enter = new ReRepresentation(
                (patches, innerPatches), (width, innerWidth), rescalesChannels, channelsFirst: false, computeType, device);
        spatialNorm = new LayerNorm(innerWidth, device: device);
        if (options.SpatialRouter is { } spatialRouter)
            spatialMixture = new MixtureOfExperts(
                innerPatches, options.MixtureOptions(spatialRouter, options.SpatialWidth), computeType, device);
        else
            spatial = new FeedForward(innerPatches, options.SpatialWidth, device);
        channelNorm = new LayerNorm(innerWidth, device: device);
        if (options.ChannelRouter is { } channelRouter)
            channelMixture = new MixtureOfExperts(
                innerWidth, options.MixtureOptions(channelRouter, options.ChannelWidth), computeType, device);
        else
            channel = new FeedForward(innerWidth, options.ChannelWidth, device);
        if (options.ReRepresented != ReRepresentedAxes.None)
            leave = new ReRepresentation(
                (innerPatches, patches), (innerWidth, width), rescalesChannels, channelsFirst: true, computeType, device);
        if (options.DropPath != 0)
            dropPath = new DropPath(options.DropPath);
        RegisterComponents();
    }

    /// <summary>Mixes.</summary>
    /// <param name="x_NSC">Patches, float32 (N, S, C).</param>
    public override SparseMlpBlockOutput forward(Tensor x_NSC)
    {
        using var scope = NewDisposeScope();
        var routing = new List<RoutingRecord>();
        var x_NPD = enter is null ? x_NSC : enter.forward(x_NSC);
        var y_NPD = x_NPD.Plus(MixPatches(x_NPD, routing));
        var z_NPD = y_NPD.Plus(MixChannels(y_NPD, routing));
        return new SparseMlpBlockOutput(leave is null ? z_NPD : leave.forward(z_NPD), routing).MoveToOuterDisposeScope();
    }

    // T(MoE_S(T(LN(x'))))
    private Tensor MixPatches(Tensor x_NPD, List<RoutingRecord> routing) =>
        Branch(Apply(spatial, spatialMixture, spatialNorm.forward(x_NPD).transpose(1, 2), routing).transpose(1, 2));

    // MoE_C(LN'(y))
    private Tensor MixChannels(Tensor y_NPD, List<RoutingRecord> routing) =>
        Branch(Apply(channel, channelMixture, channelNorm.forward(y_NPD), routing));

    private Tensor Branch(Tensor x_NPD) => dropPath is null ? x_NPD : dropPath.forward(x_NPD);

    // Every vector of the last axis through the dense network or through the experts that it chooses.
    private Tensor Apply(FeedForward? dense, MixtureOfExperts? mixture, Tensor items, List<RoutingRecord> routing)
    {
        if (mixture is null)
            return dense!.forward(items.to_type(computeType));
        var (output_TD, record) = mixture.forward(items.flatten(0, 1), items.shape[0]);
        routing.Add(record);
        return output_TD.view(items.shape);
    }

    /// <summary>The block in a plan, as in evaluation: its weights as they are now.</summary>
    internal MixerStep ToStep() =>
        new(
            options.InnerPatches,
            options.InnerWidth,
            spatialNorm.ToStep(),
            ToStep(spatial, spatialMixture),
            channelNorm.ToStep(),
            ToStep(channel, channelMixture))
        {
            Enter = enter?.ToStep(),
            Leave = leave?.ToStep(),
        };

    private static TokenStep ToStep(FeedForward? dense, MixtureOfExperts? mixture) => mixture is null ? dense!.ToStep() : mixture.ToStep();
}

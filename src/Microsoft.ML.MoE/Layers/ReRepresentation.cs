// The re-represent layers before and after the mixtures of a sparse block. Sparse-MLP, arXiv 2109.02008, section 2.3 and algorithm 1.
//
//     patches:   x = T(gelu(W·T(LN(x)) + b))        R^{S×C} -> R^{S'×C}
//     channels:  x = gelu(W·LN(x) + b)              R^{S×C} -> R^{S×C'}
//
// Axes: N = images, S = patches, C = channels, before the layer and, with other sizes, after it.

using Microsoft.ML.MoE.Inference;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Rescales patches and channels, each with LayerNorm, a linear layer and GELU: patches first on the way in, channels first on the way out.
/// </summary>
internal sealed class ReRepresentation : nn.Module<Tensor, Tensor>
{
    private readonly (int From, int To) patches;
    private readonly (int From, int To) channels;
    private readonly bool channelsFirst;
    private readonly ScalarType computeType;
    private readonly LayerNorm patchNorm;
    private readonly Dense patchProjection;
    private readonly LayerNorm? channelNorm;
    private readonly Dense? channelProjection;

    /// <summary>Makes a layer.</summary>
    /// <param name="patches">Patches before and after.</param>
    /// <param name="channels">Channels before and after. Where <paramref name="rescalesChannels"/> is false they must be equal.</param>
    /// <param name="rescalesChannels">Whether there is a projection of the channels; one between equal widths is one too.</param>
    /// <param name="channelsFirst">Whether the channels are projected before the patches.</param>
    /// <param name="computeType">Type of the matrix products; float32 by default.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <exception cref="ArgumentException">The channels change, but there is no projection of them.</exception>
    public ReRepresentation(
        (int From, int To) patches,
        (int From, int To) channels,
        bool rescalesChannels,
        bool channelsFirst,
        ScalarType computeType = ScalarType.Float32,
        Device? device = null)
        : base(nameof(ReRepresentation))
    {
        if (!rescalesChannels && channels.From != channels.To)
            throw new ArgumentException(
                $"The channels are to change from {channels.From} to {channels.To}, but there is no projection of channels.",
                nameof(channels));
        (this.patches, this.channels) = (patches, channels);
        this.channelsFirst = channelsFirst;
        this.computeType = computeType;
        patchNorm = new LayerNorm(channelsFirst ? channels.To : channels.From, device: device);
        patchProjection = new Dense(patches.From, patches.To, device);
        if (rescalesChannels)
        {
            channelNorm = new LayerNorm(channels.From, device: device);
            channelProjection = new Dense(channels.From, channels.To, device);
        }
        RegisterComponents();
    }

    /// <summary>Rescales.</summary>
    /// <param name="x_NSC">Patches, float32 (N, S, C).</param>
    /// <returns>Float32, (N, S, C) with the new numbers of patches and channels.</returns>
    public override Tensor forward(Tensor x_NSC)
    {
        using var scope = NewDisposeScope();
        var y_NSC = channelsFirst ? ProjectPatches(ProjectChannels(x_NSC)) : ProjectChannels(ProjectPatches(x_NSC));
        return y_NSC.to_type(float32).MoveToOuterDisposeScope();
    }

    private Tensor ProjectPatches(Tensor x_NSC) =>
        nn.functional.gelu(patchProjection.forward(Norm(patchNorm, x_NSC).transpose(1, 2))).transpose(1, 2);

    private Tensor ProjectChannels(Tensor x_NSC) =>
        channelProjection is null ? x_NSC : nn.functional.gelu(channelProjection.forward(Norm(channelNorm!, x_NSC)));

    private Tensor Norm(LayerNorm norm, Tensor x_NSC) => norm.forward(x_NSC.to_type(float32)).to_type(computeType);

    /// <summary>The layer in a plan: its weights as they are now.</summary>
    internal RescaleStep ToStep() =>
        new(
            patches,
            channels,
            channelsFirst,
            patchNorm.ToStep(),
            patchProjection.ToStep(),
            channelNorm?.ToStep(),
            channelProjection?.ToStep());
}

// MLP-Mixer (arXiv 2105.01601): dense networks over patches and over channels in turn, no attention, no convolution.
//
// Axes: N = images, S = patches of an image, C = channels (model width).

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>A stack of <see cref="MixerBlock"/>s on image patches.</summary>
internal sealed class MlpMixer : MixerClassifier
{
    private readonly ModuleList<MixerBlock> blocks = nn.ModuleList<MixerBlock>();

    /// <summary>Makes the network with fresh random weights.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products, float32 (default) or bfloat16.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    public MlpMixer(MlpMixerConfig config, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(MlpMixer), config, device, computeType)
    {
        for (var i = 0; i < config.Blocks; i++)
            blocks.Add(DenseBlock(i, computeType, device));
        RegisterComponents();
    }

    private protected override int BlockOf(string list, int index) => index;

    private protected override Tensor Encode(Tensor x_NSC, List<RoutingRecord> routing)
    {
        foreach (var block in blocks)
            x_NSC = block.forward(x_NSC);
        return x_NSC;
    }

    private protected override MixerStep[] BlockSteps() => [.. blocks.Select(block => block.ToStep())];
}

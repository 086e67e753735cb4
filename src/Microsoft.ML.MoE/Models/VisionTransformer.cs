// Vision Transformer (arXiv 2010.11929), and ViT-MoE, in whose last blocks a mixture of experts stands for the dense layer (as in arXiv
// 2107.11817, section 4.1).
//
//     x = x + MHAᵢ(LNᵢ(x));   x = x + FFNᵢ(LN'ᵢ(x))        every block i has modules of its own
//
// Axes: N = images, L = tokens of an image, D = model width.

using System.Globalization;
using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using LayerNorm = Microsoft.ML.MoE.Layers.LayerNorm;

namespace Microsoft.ML.MoE.Models;

/// <summary>A pre-LayerNorm Transformer on image patches whose blocks share nothing.</summary>
internal sealed class VisionTransformer : TransformerClassifier
{
    private readonly ModuleList<LayerNorm> attentionNorms = nn.ModuleList<LayerNorm>();
    private readonly ModuleList<MultiHeadAttention> attentions = nn.ModuleList<MultiHeadAttention>();
    private readonly ModuleList<LayerNorm> feedForwardNorms = nn.ModuleList<LayerNorm>();
    private readonly ModuleList<FeedForward> feedForwards = nn.ModuleList<FeedForward>();
    private readonly ModuleList<MixtureOfExperts> mixtures = nn.ModuleList<MixtureOfExperts>();

    /// <summary>Makes the network with fresh random weights.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products, float32 (default) or bfloat16.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    public VisionTransformer(VisionTransformerConfig config, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(VisionTransformer), config, device, computeType)
    {
        for (var i = 0; i < config.Blocks; i++)
        {
            attentionNorms.Add(new LayerNorm(config.Width, device: device));
            attentions.Add(new MultiHeadAttention(config.Width, config.Heads, device));
            feedForwardNorms.Add(new LayerNorm(config.Width, device: device));
            if (i < config.Blocks - config.MixtureBlocks)
                feedForwards.Add(new FeedForward(config.Width, config.FeedForwardWidth, device));
            else
                mixtures.Add(new MixtureOfExperts(config.Width, config.MixtureOptions, computeType, device));
        }
        RegisterComponents();
    }

    private protected override Tensor Encode(Tensor x_NLD, List<RoutingRecord> routing)
    {
        for (var i = 0; i < attentions.Count; i++)
        {
            x_NLD = x_NLD.Plus(Attend(i, x_NLD));
            x_NLD = x_NLD.Plus(Mix(i, x_NLD, routing));
        }
        return x_NLD;
    }

    private protected override BlockStep[] BlockSteps() =>
        [
            .. Enumerable
                .Range(0, attentions.Count)
                .Select(i => new BlockStep(
                    attentionNorms[i].ToStep(),
                    attentions[i].ToStep(),
                    feedForwardNorms[i].ToStep(),
                    i < feedForwards.Count ? feedForwards[i].ToStep() : mixtures[i - feedForwards.Count].ToStep())),
        ];

    private protected override Upcycling OriginOf(string name)
    {
        var path = name.Split('.', 3);
        return path[0] == nameof(mixtures)
            ? Upcycling.OfMixture(
                $"{nameof(feedForwards)}.{feedForwards.Count + int.Parse(path[1], CultureInfo.InvariantCulture)}", path[2],
                ((VisionTransformerConfig)Config).Experts)
            : new(name);
    }

    private protected override IEnumerable<int> BlocksOf(string list, int index) =>
        [list == nameof(mixtures) ? feedForwards.Count + index : index];

    // MHAᵢ(LNᵢ(x))
    private Tensor Attend(int i, Tensor x_NLD) => Branch(i, attentions[i].forward(attentionNorms[i].forward(x_NLD).to_type(ComputeType)));

    // FFNᵢ(LN'ᵢ(x)), or MoEᵢ(LN'ᵢ(x)) in the last blocks
    private Tensor Mix(int i, Tensor x_NLD, List<RoutingRecord> routing)
    {
        var normed_NLD = feedForwardNorms[i].forward(x_NLD);
        if (i < feedForwards.Count)
            return Branch(i, feedForwards[i].forward(normed_NLD.to_type(ComputeType)));
        // (N, L, D) -> (T, D).
        var (output_TD, record) = mixtures[i - feedForwards.Count].forward(normed_NLD.flatten(0, 1), x_NLD.shape[0]);
        routing.Add(record);
        return Branch(i, output_TD.view(x_NLD.shape));
    }
}

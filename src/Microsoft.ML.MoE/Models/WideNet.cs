// WideNet (Go Wider Instead of Deeper, arXiv 2107.11817, figure 1 and section 3): one attention module and one mixture of experts serve all
// blocks, and only the LayerNorms are each block's own, so that the same token meets other experts at other depths.
//
//     x = x + MHA(LNᵢ(x));   x = x + MoE(LN'ᵢ(x))        for i = 1 … blocks
//
// Axes: N = images, L = tokens of an image, T = N·L, D = model width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using LayerNorm = Microsoft.ML.MoE.Layers.LayerNorm;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// A pre-LayerNorm Transformer on image patches that applies one attention module and one mixture of experts in every block. The mixture
/// routes anew in every block, or once a group of blocks (<see cref="WideNetConfig.RoutingGroups"/>).
/// </summary>
internal sealed class WideNet : TransformerClassifier
{
    private readonly WideNetConfig config;

    // One entry, or one a block, as the configuration shares them: a shared module is one object that the loop below uses again and again.
    private readonly ModuleList<LayerNorm> attentionNorms = nn.ModuleList<LayerNorm>();
    private readonly ModuleList<LayerNorm> mixtureNorms = nn.ModuleList<LayerNorm>();
    private readonly ModuleList<MultiHeadAttention> attentions = nn.ModuleList<MultiHeadAttention>();
    private readonly ModuleList<MixtureOfExperts> mixtures = nn.ModuleList<MixtureOfExperts>();
    private readonly ModuleList<FeedForward> feedForwards = nn.ModuleList<FeedForward>();

    /// <summary>Makes the network with fresh random weights.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products, float32 (default) or bfloat16.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    public WideNet(WideNetConfig config, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(WideNet), config, device, computeType)
    {
        this.config = config;
        for (var i = 0; i < (config.ShareLayerNorms ? Math.Min(1, config.Blocks) : config.Blocks); i++)
        {
            attentionNorms.Add(new LayerNorm(config.Width, device: device));
            mixtureNorms.Add(new LayerNorm(config.Width, device: device));
        }
        for (var i = 0; i < (config.ShareParameters ? Math.Min(1, config.Blocks) : config.Blocks); i++)
        {
            attentions.Add(new MultiHeadAttention(config.Width, config.Heads, device));
            if (config.Experts > 0)
                mixtures.Add(new MixtureOfExperts(config.Width, config.MixtureOptions, computeType, device));
            else
                feedForwards.Add(new FeedForward(config.Width, config.FeedForwardWidth, device));
        }
        RegisterComponents();
    }

    private protected override Tensor Encode(Tensor x_NLD, List<RoutingRecord> routing)
    {
        using var casts = CastWeights.Once();
        for (var i = 0; i < config.Blocks; i++)
        {
            x_NLD = x_NLD.Plus(Attend(i, x_NLD));
            x_NLD = x_NLD.Plus(Mix(i, x_NLD, routing));
        }
        return x_NLD;
    }

    // As the modules, the steps of shared ones are one object.
    private protected override BlockStep[] BlockSteps()
    {
        NormStep[] norms = [.. attentionNorms.Select(norm => norm.ToStep())], slotNorms = [.. mixtureNorms.Select(norm => norm.ToStep())];
        AttentionStep[] attends = [.. attentions.Select(attention => attention.ToStep())];
        TokenStep[] slots = [.. mixtures.Select(mixture => mixture.ToStep()), .. feedForwards.Select(network => network.ToStep())];
        var reuse = config.RoutingReuse == RoutingReuse.Experts ? RouteReuse.Experts : RouteReuse.ExpertsAndGates;
        return
        [
            .. Enumerable
                .Range(0, config.Blocks)
                .Select(i => new BlockStep(
                    Of(norms, i),
                    Of(attends, i),
                    Of(slotNorms, i),
                    Of(slots, i),
                    i % config.BlocksPerGroup == 0 ? RouteReuse.None : reuse)),
        ];
    }

    private protected override IEnumerable<int> BlocksOf(string list, int index)
    {
        var shared = list is nameof(attentionNorms) or nameof(mixtureNorms) ? config.ShareLayerNorms : config.ShareParameters;
        return shared ? Enumerable.Range(0, config.Blocks) : [index];
    }

    // MHA(LNᵢ(x))
    private Tensor Attend(int i, Tensor x_NLD) =>
        Branch(i, Of(attentions, i).forward(Of(attentionNorms, i).forward(x_NLD).to_type(ComputeType)));

    // MoE(LN'ᵢ(x)), or FFN(LN'ᵢ(x)) in the dense model
    private Tensor Mix(int i, Tensor x_NLD, List<RoutingRecord> routing)
    {
        var normed_NLD = Of(mixtureNorms, i).forward(x_NLD);
        if (config.Experts == 0)
            return Branch(i, Of(feedForwards, i).forward(normed_NLD.to_type(ComputeType)));
        // (N, L, D) -> (T, D) -> (N, L, D).
        return Branch(i, Route(i, normed_NLD.flatten(0, 1), x_NLD.shape[0], routing).view(x_NLD.shape));
    }

    // The first block of a group routes; the others take its experts.
    private Tensor Route(int i, Tensor x_TD, long images, List<RoutingRecord> routing)
    {
        if (i % config.BlocksPerGroup != 0)
            return Of(mixtures, i).ForwardWith(x_TD, routing[^1], config.RoutingReuse);
        var (output_TD, record) = Of(mixtures, i).forward(x_TD, images);
        routing.Add(record);
        return output_TD;
    }

    private static T Of<T>(IList<T> entries, int i) => entries[entries.Count == 1 ? 0 : i];
}

// Sparse-MLP (arXiv 2109.02008, figure 1): an MLP-Mixer some of whose blocks, usually the last ones, have mixtures of experts in both
// directions.
//
// Axes: N = images, S = patches of an image, C = channels (model width).

using System.Globalization;
using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>A stack of <see cref="MixerBlock"/>s and <see cref="SparseMlpBlock"/>s on image patches.</summary>
internal sealed class SparseMlp : MixerClassifier
{
    private readonly SparseMlpConfig config;
    private readonly ModuleList<MixerBlock> denseBlocks = nn.ModuleList<MixerBlock>();
    private readonly ModuleList<SparseMlpBlock> sparseBlocks = nn.ModuleList<SparseMlpBlock>();

    /// <summary>Makes the network with fresh random weights.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products, float32 (default) or bfloat16.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    public SparseMlp(SparseMlpConfig config, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(SparseMlp), config, device, computeType)
    {
        this.config = config;
        for (var i = 0; i < config.Blocks; i++)
        {
            if (IsSparse(i))
                sparseBlocks.Add(
                    new SparseMlpBlock(
                        config.BlockOptions with { DropPath = DropPath.ProbabilityOf(config.DropPath, i, config.Blocks) },
                        computeType,
                        device));
            else
                denseBlocks.Add(DenseBlock(i, computeType, device));
        }
        RegisterComponents();
    }

    private protected override double BalanceLossWeight => config.BalanceLossWeight;

    private protected override int BlockOf(string list, int index) =>
        Enumerable.Range(0, config.Blocks).Where(block => IsSparse(block) == (list == nameof(sparseBlocks))).ElementAt(index);

    private protected override Upcycling OriginOf(string name)
    {
        var path = name.Split('.', 4);
        if (path[0] is not (nameof(denseBlocks) or nameof(sparseBlocks)))
            return new(name);
        var block = $"blocks.{BlockOf(path[0], int.Parse(path[1], CultureInfo.InvariantCulture))}";
        return path[2] switch
        {
            "spatialMixture" => Upcycling.OfMixture($"{block}.spatial", path[3], config.SpatialExperts),
            "channelMixture" => Upcycling.OfMixture($"{block}.channel", path[3], config.ChannelExperts),
            _ => new($"{block}.{path[2]}.{path[3]}"),
        };
    }

    private protected override Tensor Encode(Tensor x_NSC, List<RoutingRecord> routing)
    {
        var (dense, sparse) = (0, 0);
        for (var i = 0; i < config.Blocks; i++)
        {
            if (IsSparse(i))
            {
                var output = sparseBlocks[sparse++].forward(x_NSC);
                routing.AddRange(output.Routing);
                x_NSC = output.Output_NSC;
            }
            else
            {
                x_NSC = denseBlocks[dense++].forward(x_NSC);
            }
        }
        return x_NSC;
    }

    private bool IsSparse(int block) => config.SparseBlocks.Contains(block, config.Blocks);

    private protected override MixerStep[] BlockSteps()
    {
        var (dense, sparse) = (0, 0);
        return
        [
            .. Enumerable
                .Range(0, config.Blocks)
                .Select(i => IsSparse(i) ? sparseBlocks[sparse++].ToStep() : denseBlocks[dense++].ToStep()),
        ];
    }
}

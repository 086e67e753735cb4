using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Samples.Comparison;

namespace FashionMnist.Comparison;

/// <summary>The comparisons and ablations of the WideNet paper (arXiv 2107.11817, section 4), at a size that two cores train.</summary>
internal static class ExperimentCatalog
{
    // 28×28 in patches of 7: 16 tokens. K·F = 384 hidden neurons a token in every model.
    private static readonly WideNetConfig Wide = WideNetConfig.Small with { PatchSize = 7, Blocks = 6 };
    private static readonly VisionTransformerConfig Dense = VisionTransformerConfig.Small with { PatchSize = 7, Blocks = 6 };

    // Deep and narrow, since what is shared or reused over depth shows in depth: 12 blocks, as WideNet-B has.
    private static readonly WideNetConfig Deep = WideNetConfig.Small with { PatchSize = 7, Blocks = 12, Width = 64, ExpertWidth = 128 };

    // What the sample trains without arguments.
    private static readonly WideNetConfig Sample = WideNetConfig.Small with { PatchSize = 7, Blocks = 3 };

    /// <summary>The main comparison.</summary>
    public static Experiment Models { get; } =
        new(
            "models",
            "WideNet, ViT and ViT-MoE of the same width and depth",
            "On ImageNet-1K, WideNet-B is 1.1 points below ViT-B with 0.34 of its parameters (77.5 to 78.6), and WideNet-L 2.0 points "
                + "above ViT-L with 0.13 of its parameters (79.5 to 77.5).",
            TrainingImages: 8000,
            Epochs: 12,
            [
                Variant.WideNet("WideNet, 4 experts", Wide),
                Variant.VisionTransformer("ViT", Dense),
                Variant.VisionTransformer(
                    "ViT-MoE, experts in the last 2 blocks", Dense with { Experts = 4, ExpertWidth = 192, MixtureBlocks = 2 }),
            ]);

    /// <summary>All experiments.</summary>
    public static IReadOnlyList<Experiment> All { get; } =
    [
        Models,
        new(
            "stems", "Models of equal multiply-adds with a stem of convolutions, and the stem alone",
            "The papers' networks have no stem. On ImageNet-1K, WideNet-L is 2.0 points above ViT-L (79.5 to 77.5), and Sparse-B 2.0 "
                + "points above Mixer-B (77.9 to 75.9).",
            TrainingImages: 10_000, Epochs: 6,
            [
                Variant.WideNet("WideNet, 8 experts", WideNetConfig.Thumbnail),
                Variant.VisionTransformer("ViT", VisionTransformerConfig.Thumbnail),
                Variant.VisionTransformer("ViT-MoE, 4 experts in the last block", VisionTransformerConfig.MoeThumbnail),
                Variant.SparseMlp("Sparse-MLP", SparseMlpConfig.Thumbnail),
                Variant.SparseMlp(
                    "Mixer", SparseMlpConfig.Thumbnail with { SparseBlocks = BlockPositions.None }),
                Variant.WideNet("the stem alone", WideNetConfig.Thumbnail with { Blocks = 0 }),
            ])
        { HeldOutImages = 0, ByRecipe = true },
        new(
            "layernorms", "LayerNorms of each block's own, or one pair for all",
            "One pair for all costs 1.3, 1.2 and 3.4 points (B, L, H). The LayerNorms of a WideNet differ more between blocks than those "
                + "of a ViT.",
            TrainingImages: 4000, Epochs: 16,
            [
                Variant.WideNet("own LayerNorms", Deep),
                Variant.WideNet("shared LayerNorms", Deep with { ShareLayerNorms = true }),
                Variant.VisionTransformer("ViT, for its LayerNorms", Dense with { Blocks = 12, Width = 64, FeedForwardWidth = 256 }),
            ]),
        new(
            "experts", "Experts, or one dense layer for all blocks",
            "Without experts, WideNet loses 2.6 (L) and 1.1 points (H), and B does not train. A dense layer of twice the width does not "
                + "help (75.8 to 76.9, L).",
            TrainingImages: 4000, Epochs: 16,
            [
                Variant.WideNet("4 experts of 128, 2 a patch", Deep),
                Variant.WideNet("dense 256, the same work", Deep with { Experts = 0, FeedForwardWidth = 256 }),
                Variant.WideNet("dense 512, the same parameters", Deep with { Experts = 0, FeedForwardWidth = 512 }),
            ]),
        new(
            "expert-count", "Number of experts",
            "ViT-MoE-B with 4, 8, 12 and 16 experts: about 77.8, 77.1, 76.9 and 76.6, while the accuracy on the training images rises "
                + "(66.8 to 70.2): more experts overfit on ImageNet-1K.",
            TrainingImages: 4000, Epochs: 16,
            [
                Variant.WideNet("4 experts", Deep),
                Variant.WideNet("8 experts", Deep with { Experts = 8 }),
                Variant.WideNet("12 experts", Deep with { Experts = 12 }),
                Variant.WideNet("16 experts", Deep with { Experts = 16 }),
            ]),
        new(
            "sharing", "One block for all depth, or one for each block, at depth 6 and 16",
            "With the same 40M parameters WideNet-L gains 1.3 points from 12 to 24 blocks (78.2 to 79.5); ViT-L with blocks of their own "
                + "overfits.",
            TrainingImages: 4000, Epochs: 16,
            [
                Variant.WideNet("6 blocks, shared", Deep with { Blocks = 6 }),
                Variant.WideNet("6 blocks, each its own", Deep with { Blocks = 6, ShareParameters = false }),
                Variant.WideNet("16 blocks, shared", Deep with { Blocks = 16 }),
                Variant.WideNet("16 blocks, each its own", Deep with { Blocks = 16, ShareParameters = false }),
            ]),
        new(
            "groups", "How often patches are routed anew",
            "With 12, 6, 3 and 2 groups WideNet-B reaches 77.5, about 76.2, 74.1 and 72.0: the largest effect in the paper.",
            TrainingImages: 4000, Epochs: 16,
            [
                Variant.WideNet("12 groups: every block routes", Deep),
                Variant.WideNet("6 groups", Deep with { RoutingGroups = 6 }),
                Variant.WideNet("3 groups", Deep with { RoutingGroups = 3 }),
                Variant.WideNet("2 groups", Deep with { RoutingGroups = 2 }),
            ]),
        new(
            "balance", "With the balance loss, and without",
            "The loss is there to keep all experts in use; the paper gives no figures without it.",
            TrainingImages: 4000, Epochs: 16,
            [
                Variant.WideNet("8 experts, λ = 0.01", Deep with { Experts = 8 }),
                Variant.WideNet("8 experts, λ = 0", Deep with { Experts = 8, BalanceLossWeight = 0 }),
            ]),
        new(
            "precision", "Matrix products in float32, or in bfloat16",
            "The paper does not say in which type it computes.",
            TrainingImages: 8000, Epochs: 12,
            [
                Variant.WideNet("float32", Sample, Precision.Float32),
                Variant.WideNet("bfloat16", Sample, Precision.BFloat16),
            ]),
    ];
}

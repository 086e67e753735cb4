using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Every named image classifier: the published sizes, the ablations of their papers, and small sizes for a CPU and for tests.
/// </summary>
internal static class ImageClassifierPresets
{
    private const string Sizes = "WideNet paper, table 1";
    private const string Ablations = "WideNet paper, ablation";
    private const string MixerSizes = "Sparse-MLP paper, table 3, where the classifier is not counted: without it";
    private const string SparseSizes = "Sparse-MLP paper, tables 2 and 3, where the classifier is not counted: without it";
    private const string SparseAblations = "Sparse-MLP paper, ablation";

    private const string Thumbnails = "a stem and 28×28 grey, trains on a CPU";
    private const string Photographs = "a stem and 224×224 colour, trains on a CPU";

    /// <summary>All presets, published ones first.</summary>
    public static IReadOnlyList<ModelPreset<ImageClassifierConfig>> All { get; } =
    [
        new("vit-b16", VisionTransformerConfig.Base, 87, Sizes),
        new("vit-l16", VisionTransformerConfig.Large, 305, Sizes),
        new("vit-moe-b16", VisionTransformerConfig.MoeBase, 128, $"{Sizes}; also WideNet-B without parameter sharing"),
        new("vit-moe-l16", VisionTransformerConfig.MoeLarge, 406, $"{Sizes}; also WideNet-L without parameter sharing"),
        new("widenet-b16", WideNetConfig.Base, 29, Sizes),
        new("widenet-l16", WideNetConfig.Large, 40, Sizes),
        new("widenet-h16", WideNetConfig.Huge, 63, $"{Sizes}; patch 16 as in the authors' code"),
        new(
            "widenet-h14",
            WideNetConfig.Huge with { PatchSize = 14 },
            63,
            "as widenet-h16 with patch 14, which the published count does not tell apart"),
        new("widenet-l16-12-blocks", WideNetConfig.Large with { Blocks = 12 }, 40, "WideNet paper, comparable compute"),
        new("widenet-b16-shared-layernorm", WideNetConfig.Base with { ShareLayerNorms = true }, 29, Ablations),
        new("widenet-l16-shared-layernorm", WideNetConfig.Large with { ShareLayerNorms = true }, 40, Ablations),
        new("widenet-h16-shared-layernorm", WideNetConfig.Huge with { ShareLayerNorms = true }, 63, Ablations),
        new("widenet-b16-no-moe", WideNetConfig.Base with { Experts = 0, FeedForwardWidth = 3072 }, 9, $"{Ablations}; FFN 3072"),
        new(
            "widenet-l16-no-moe",
            WideNetConfig.Large with { Experts = 0, FeedForwardWidth = 4096 },
            15,
            $"{Ablations}; also ViT-L with shared blocks"),
        new("widenet-h16-no-moe", WideNetConfig.Huge with { Experts = 0, FeedForwardWidth = 5120 }, 23, $"{Ablations}; FFN 5120"),
        new(
            "vit-l16-shared-ffn-8192",
            WideNetConfig.Large with { Experts = 0, FeedForwardWidth = 8192 },
            24,
            "WideNet paper, comparable compute; a wider FFN instead of experts"),
        new("widenet-b16-6-groups", WideNetConfig.Base with { RoutingGroups = 6 }, 29, "WideNet paper, figure 3"),
        new("widenet-b16-3-groups", WideNetConfig.Base with { RoutingGroups = 3 }, 29, "WideNet paper, figure 3"),
        new("widenet-b16-2-groups", WideNetConfig.Base with { RoutingGroups = 2 }, 29, "WideNet paper, figure 3"),
        new("mixer-s16", MlpMixerConfig.S16, 18, $"{MixerSizes} 18,015,264; the table prints 19"),
        new("mixer-b16", MlpMixerConfig.B16, 59, $"{MixerSizes} 59,111,472"),
        new("mixer-l16", MlpMixerConfig.L16, 207, $"{MixerSizes} 207,171,168"),
        new("sparse-mlp-s16", SparseMlpConfig.S16, 22, $"{SparseSizes} 22,402,608; table 2 prints 22, table 3 prints 21"),
        new(
            "sparse-mlp-s16-patches",
            SparseMlpConfig.S16 with { ReRepresented = ReRepresentedAxes.Patches },
            21,
            $"as sparse-mlp-s16 without projections of the channels; without the classifier 21,347,888"),
        new("sparse-mlp-b16", SparseMlpConfig.B16, 69, $"{SparseSizes} 69,976,768"),
        new("sparse-mlp-l16", SparseMlpConfig.L16, 130, $"{SparseSizes} 130,436,456"),
        new(
            "sparse-mlp-b16-first-2",
            SparseMlpConfig.B16 with { SparseBlocks = BlockPositions.First(2) },
            69,
            $"{SparseAblations}; without the classifier 69,976,768"),
        new(
            "sparse-mlp-b16-last-4",
            SparseMlpConfig.B16 with { SparseBlocks = BlockPositions.Last(4) },
            null,
            $"{SparseAblations}; the paper prints 79M, its arithmetic gives 80,842,064 without the classifier"),
        new("sparse-mlp-b16-4-spatial", SparseMlpConfig.B16 with { SpatialExperts = 4 }, null, SparseAblations),
        new("sparse-mlp-b16-16-spatial", SparseMlpConfig.B16 with { SpatialExperts = 16 }, null, SparseAblations),
        new("sparse-mlp-b16-8-channel", SparseMlpConfig.B16 with { ChannelExperts = 8 }, null, SparseAblations),
        new("sparse-mlp-b16-16-channel", SparseMlpConfig.B16 with { ChannelExperts = 16 }, null, SparseAblations),
        new("sparse-mlp-b16-spatial-k2", SparseMlpConfig.B16 with { SpatialExpertsPerItem = 2 }, null, SparseAblations),
        new("sparse-mlp-b16-channel-k1", SparseMlpConfig.B16 with { ChannelExpertsPerItem = 1 }, null, SparseAblations),
        new("sparse-mlp-b16-no-re-represent", SparseMlpConfig.B16 with { ReRepresented = ReRepresentedAxes.None }, null, SparseAblations),
        new("vit-small", VisionTransformerConfig.Small, null, "28×28 grey, trains on a CPU"),
        new("vit-moe-small", VisionTransformerConfig.MoeSmall, null, "28×28 grey, trains on a CPU"),
        new("widenet-small", WideNetConfig.Small, null, "28×28 grey, trains on a CPU"),
        new("mixer-small", MlpMixerConfig.Small, null, "28×28 grey, trains on a CPU"),
        new("sparse-mlp-small", SparseMlpConfig.Small, null, "28×28 grey, trains on a CPU"),
        new("vit-thumbnail", VisionTransformerConfig.Thumbnail, null, Thumbnails),
        new("vit-moe-thumbnail", VisionTransformerConfig.MoeThumbnail, null, Thumbnails),
        new("widenet-thumbnail", WideNetConfig.Thumbnail, null, Thumbnails),
        new("mixer-thumbnail", MlpMixerConfig.Thumbnail, null, Thumbnails),
        new("sparse-mlp-thumbnail", SparseMlpConfig.Thumbnail, null, Thumbnails),
        new("vit-compact", VisionTransformerConfig.Compact, null, Photographs),
        new("widenet-compact", WideNetConfig.Compact, null, Photographs),
        new("mixer-compact", MlpMixerConfig.Compact, null, Photographs),
        new("sparse-mlp-compact", SparseMlpConfig.Compact, null, Photographs),
        new("vit-tiny", VisionTransformerConfig.Tiny, null, "8×8 colour, for tests"),
        new("vit-moe-tiny", VisionTransformerConfig.MoeTiny, null, "8×8 colour, for tests"),
        new("widenet-tiny", WideNetConfig.Tiny, null, "8×8 colour, for tests"),
        new("widenet-tiny-groups", WideNetConfig.Tiny with { RoutingGroups = 1 }, null, "8×8 colour, for tests"),
        new("widenet-tiny-shared-layernorm", WideNetConfig.Tiny with { ShareLayerNorms = true }, null, "8×8 colour, for tests"),
        new("widenet-tiny-no-moe", WideNetConfig.Tiny with { Experts = 0, FeedForwardWidth = 64 }, null, "8×8 colour, for tests"),
        new("widenet-tiny-unshared", WideNetConfig.Tiny with { ShareParameters = false }, null, "8×8 colour, for tests"),
        new(
            "widenet-tiny-stem",
            WideNetConfig.Tiny with { Stem = new(), Pooling = Pooling.Attention, ClassToken = ClassToken.Zero },
            null,
            "8×8 colour, for tests"),
        new(
            "widenet-tiny-stem-alone",
            WideNetConfig.Tiny with { Stem = new(), Blocks = 0, Experts = 0 },
            null,
            "8×8 colour, for tests"),
        new(
            "vit-moe-tiny-stem",
            VisionTransformerConfig.MoeTiny with { Stem = new() { Halving = StemHalving.Stride, FirstChannels = 6 } },
            null,
            "8×8 colour, for tests"),
        new("mixer-tiny-stem", MlpMixerConfig.Tiny with { Stem = new(), Pooling = Pooling.Attention }, null, "8×8 colour, for tests"),
        new("sparse-mlp-tiny-stem", SparseMlpConfig.Tiny with { Stem = new() }, null, "8×8 colour, for tests"),
        new("mixer-tiny", MlpMixerConfig.Tiny, null, "8×8 colour, for tests"),
        new("sparse-mlp-tiny", SparseMlpConfig.Tiny, null, "8×8 colour, for tests"),
        new("sparse-mlp-tiny-dense-channels", SparseMlpConfig.Tiny with { ChannelExperts = 0 }, null, "8×8 colour, for tests"),
        new("sparse-mlp-tiny-dense-patches", SparseMlpConfig.Tiny with { SpatialExperts = 0 }, null, "8×8 colour, for tests"),
        new(
            "sparse-mlp-tiny-patches",
            SparseMlpConfig.Tiny with { ReRepresented = ReRepresentedAxes.Patches },
            null,
            "8×8 colour, for tests"),
        new(
            "sparse-mlp-tiny-no-re-represent",
            SparseMlpConfig.Tiny with { ReRepresented = ReRepresentedAxes.None },
            null,
            "8×8 colour, for tests"),
        new(
            "sparse-mlp-tiny-capacity",
            SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.At(0), TrainingCapacity = ExpertCapacity.VMoe },
            null,
            "8×8 colour, for tests"),
    ];
}

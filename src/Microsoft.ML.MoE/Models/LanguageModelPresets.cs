using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Every named language model: from a size for tests to the scale of PEER's paper, each with PEER in the middle block and beside it the
/// layers that the paper compares with in the same place.
/// </summary>
internal static class LanguageModelPresets
{
    private const string Tests = "bytes, for tests";
    private const string Cpu = "trains on a CPU in minutes";
    private const string Paper = "PEER paper, section 3.1; widths and vocabulary are ours, the paper gives none";

    /// <summary>All presets, the largest first.</summary>
    public static IReadOnlyList<ModelPreset<LanguageModelConfig>> All { get; } =
    [
        new("lm-base-peer", LanguageModelConfig.Base, null, $"{Paper}; 1024² experts, 8 heads of 16"),
        new("lm-base-dense", LanguageModelConfig.Base with { SparseLayer = null }, null, Paper),
        new(
            "lm-base-moe",
            LanguageModelConfig.Base with { SparseLayer = new ExpertChoiceOptions { Experts = 128, ExpertWidth = 4 * 768 } },
            null,
            $"{Paper}; 128 experts that choose their tokens"),
        new(
            "lm-base-pkm",
            LanguageModelConfig.Base with { SparseLayer = new ProductKeyMemoryOptions() },
            null,
            $"{Paper}; 1024² memories, 8 heads of 32"),
        new("lm-medium-peer", LanguageModelConfig.Medium, null, "6 blocks of width 384 on bytes"),
        new("lm-medium-dense", LanguageModelConfig.Medium with { SparseLayer = null }, null, "6 blocks of width 384 on bytes"),
        new("lm-small-peer", LanguageModelConfig.Small, null, Cpu),
        new("lm-small-dense", LanguageModelConfig.Small with { SparseLayer = null }, null, Cpu),
        new("lm-small-moe", LanguageModelConfig.Small with { SparseLayer = Mixture(8, 512) }, null, $"{Cpu}; 8 experts, 2 a token"),
        new(
            "lm-small-pkm",
            LanguageModelConfig.Small with
            {
                SparseLayer = new ProductKeyMemoryOptions
                {
                    Memories = 128 * 128,
                    Heads = 4,
                    QueryWidth = 64,
                },
            },
            null,
            Cpu),
        new("lm-nano-peer", LanguageModelConfig.Nano, null, Tests),
        new("lm-nano-dense", LanguageModelConfig.Nano with { SparseLayer = null }, null, Tests),
        new("lm-nano-moe", LanguageModelConfig.Nano with { SparseLayer = Mixture(4, 32) }, null, Tests),
        new(
            "lm-nano-expert-choice",
            LanguageModelConfig.Nano with { SparseLayer = new ExpertChoiceOptions { Experts = 4, ExpertWidth = 32 } },
            null,
            Tests),
        new(
            "lm-nano-pkm",
            LanguageModelConfig.Nano with
            {
                SparseLayer = new ProductKeyMemoryOptions
                {
                    Memories = 256,
                    Heads = 2,
                    MemoriesPerHead = 8,
                    QueryWidth = 16,
                },
            },
            null,
            Tests),
        new(
            "lm-nano-peer-everywhere",
            LanguageModelConfig.Nano with { SparseBlocks = [0, 1, 2], Positions = PositionKind.Learned, TieEmbeddings = true },
            null,
            $"{Tests}; learned positions, tied embeddings"),
    ];

    private static MixtureSlotOptions Mixture(int experts, int width) =>
        new()
        {
            Mixture = new MixtureOfExpertsOptions
            {
                Router = new TopKRouterOptions { Experts = experts, ExpertsPerToken = 2 },
                ExpertWidth = width,
            },
        };
}

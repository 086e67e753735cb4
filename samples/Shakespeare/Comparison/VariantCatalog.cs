using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;

namespace Shakespeare.Comparison;

/// <summary>
/// What PEER's paper compares (arXiv 2407.04153, section 3.1) on a backbone of nanoGPT's size for a CPU. Experts are chosen by their
/// tokens here: in the paper they choose theirs, and then see what comes later in the text.
/// </summary>
internal static class VariantCatalog
{
    // What --tune tries: learning rates, what those of memories and single-neuron experts and of their keys are multiplied by, and how
    // many there are of them.
    private static readonly double[] Rates = [1e-3, 2e-3, 4e-3, 8e-3];
    private static readonly double[] TableScales = [1, 2, 4, 8, 12, 16, 32];
    private static readonly double[] KeyScales = [0.01, 0.1, 0.25];   // besides 1
    private static readonly int[] ExpertCounts = [128 * 128, 512 * 512, 1024 * 1024];
    // The keys of a million, with eight heads, cost as much as all dense layers together.
    private static readonly int[] MemoryCounts = [128 * 128, 512 * 512];

    // Chosen by trials on a part of the training text (results/). A row of a table is in few updates, so that it wants larger ones.
    private const double TunedRate = 2e-3;
    private const double TunedScaleOfMemories = 8;
    private const double TunedScaleOfExperts = 12;
    private const int TunedCount = 256 * 256;
    private const int HeadsOfMemories = 8;
    private const int MemoriesPerHead = 32;

    private static readonly LanguageModelConfig Backbone = LanguageModelConfig.Small with { ContextLength = 64, SparseLayer = null };

    /// <summary>
    /// The models, of equal multiply-adds a token: the dense layers beside a sparse one get what it leaves. Learning rates and sizes
    /// were chosen by trials on a part of the training text.
    /// </summary>
    public static IReadOnlyList<Variant> All { get; } =
    [
        new("dense", Backbone, TunedRate),
        Memories(TunedCount, TunedScaleOfMemories),
        new(
            "MoE, 16 experts, 2 a token",
            Beside(
                new MixtureSlotOptions
                {
                    Mixture = new() { Router = new TopKRouterOptions { Experts = 16, ExpertsPerToken = 2 }, ExpertWidth = 256 },
                }
            ),
            TunedRate),
        Peer(TunedCount, TunedScaleOfExperts),
        // As many retrieved as of the memories: more by step, fewer steps by minute.
        Peer(TunedCount, TunedScaleOfExperts, heads: HeadsOfMemories, expertsPerHead: MemoriesPerHead),
    ];

    /// <summary>
    /// Every model with several learning rates, and its table and keys with several others and of other sizes than in
    /// <see cref="All"/>.
    /// </summary>
    public static IReadOnlyList<Variant> WithOtherOptions { get; } =
    [
        .. All.SelectMany(variant =>
            Rates.Select(rate => variant with { Name = FormattableString.Invariant($"{variant.Name}; {rate:0.0e0}"), LearningRate = rate })),
        .. TableScales.Where(scale => scale != TunedScaleOfMemories).Select(scale => WithTable(Memories(TunedCount, scale), scale)),
        .. TableScales.Where(scale => scale != TunedScaleOfExperts).Select(scale => WithTable(Peer(TunedCount, scale), scale)),
        .. KeyScales.Select(scale => WithKeys(Memories(TunedCount, TunedScaleOfMemories, scale), scale)),
        .. KeyScales.Select(scale => WithKeys(Peer(TunedCount, TunedScaleOfExperts, scale), scale)),
        .. MemoryCounts.Select(memories => Memories(memories, TunedScaleOfMemories)),
        .. ExpertCounts.Select(experts => Peer(experts, TunedScaleOfExperts)),
    ];

    private static Variant WithTable(Variant variant, double scale) =>
        variant with
        {
            Name = FormattableString.Invariant($"{variant.Name}; table {scale} times {TunedRate:0.0e0}"),
        };

    private static Variant WithKeys(Variant variant, double scale) =>
        variant with
        {
            Name = FormattableString.Invariant($"{variant.Name}; keys {scale} times {TunedRate:0.0e0}"),
        };

    private static Variant Memories(int memories, double scale, double keyScale = 1) =>
        new(
            FormattableString.Invariant($"PKM, {memories:N0} memories, {HeadsOfMemories} heads of {MemoriesPerHead}"),
            Beside(
                new ProductKeyMemoryOptions
                {
                    Memories = memories,
                    Heads = HeadsOfMemories,
                    MemoriesPerHead = MemoriesPerHead,
                    QueryWidth = 64,
                    KeyLearningRateScale = keyScale,
                    Tables = new() { LearningRateScale = scale },
                }
            ),
            TunedRate);

    private static Variant Peer(int experts, double scale, double keyScale = 1, int heads = 4, int expertsPerHead = 16) =>
        new(
            FormattableString.Invariant($"PEER, {experts:N0} experts, {heads} heads of {expertsPerHead}"),
            Beside(
                new PeerOptions
                {
                    Experts = experts,
                    Heads = heads,
                    ExpertsPerHead = expertsPerHead,
                    QueryWidth = 64,
                    KeyLearningRateScale = keyScale,
                    Tables = new() { LearningRateScale = scale },
                }
            ),
            TunedRate);

    // The widest dense layers with which the model costs no more than the backbone.
    private static LanguageModelConfig Beside(FeedForwardSlotOptions layer)
    {
        LanguageModelConfig OfWidth(int width) => Backbone with { SparseLayer = layer, FeedForwardWidth = width };
        long Macs(int width) => OfWidth(width).GetCost().ForwardMacs;
        return OfWidth(1 + (int)((Backbone.GetCost().ForwardMacs - Macs(1)) / (Macs(2) - Macs(1))));
    }
}

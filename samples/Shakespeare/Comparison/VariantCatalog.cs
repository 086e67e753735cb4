using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;

namespace Shakespeare.Comparison;

/// <summary>
/// What PEER's paper compares (arXiv 2407.04153, section 3.1) on a backbone of nanoGPT's size for a CPU. Experts are chosen by their tokens here: in the paper they choose theirs, and then see
/// what comes later in the text.
/// </summary>
internal static class VariantCatalog
{
    // What --tune tries: learning rates, and then what those of memories and single-neuron experts are multiplied by.
    private static readonly double[] Rates = [1e-3, 2e-3, 4e-3, 8e-3];
    private static readonly double[] TableScales = [1, 2, 4, 8, 16, 32];

    // The best of them on a part of the training text (results/). A row of a table is in few updates, so that it wants larger ones.
    private const double TunedRate = 2e-3;
    private const double TunedScaleOfMemories = 4;
    private const double TunedScaleOfExperts = 32;

    private static readonly LanguageModelConfig Backbone = LanguageModelConfig.Small with { ContextLength = 64, SparseLayer = null };

    /// <summary>The models, of equal multiply-adds a token: the dense layers beside a sparse one get what it leaves. Their learning rates are those that <c>--tune</c> found best for each of them.</summary>
    public static IReadOnlyList<Variant> All { get; } =
    [
        new("dense", Backbone, TunedRate),
        Memories(TunedScaleOfMemories),
        new("MoE, 16 experts, 2 a token", Beside(new MixtureSlotOptions { Mixture = new() { Router = new TopKRouterOptions { Experts = 16, ExpertsPerToken = 2 }, ExpertWidth = 256 } }), TunedRate),
        Peer(TunedScaleOfExperts),
    ];

    /// <summary>Every model with several learning rates, and its table with several.</summary>
    public static IReadOnlyList<Variant> WithOtherRates { get; } =
    [
        .. All.SelectMany(variant => Rates.Select(rate => variant with { Name = FormattableString.Invariant($"{variant.Name}; {rate:0.0e0}"), LearningRate = rate })),
        .. TableScales.SelectMany(scale => new[] { Memories(scale), Peer(scale) }.Select(variant => variant with { Name = FormattableString.Invariant($"{variant.Name}; table {scale} times {TunedRate:0.0e0}") })),
    ];

    private static Variant Memories(double scale) =>
        new("PKM, 16,384 memories", Beside(new ProductKeyMemoryOptions { Memories = 128 * 128, Heads = 4, MemoriesPerHead = 32, QueryWidth = 64, Tables = new() { LearningRateScale = scale } }), TunedRate);

    private static Variant Peer(double scale) =>
        new("PEER, 16,384 experts", Beside(new PeerOptions { Experts = 128 * 128, Heads = 4, ExpertsPerHead = 16, QueryWidth = 64, Tables = new() { LearningRateScale = scale } }), TunedRate);

    // The widest dense layers with which the model costs no more than the backbone.
    private static LanguageModelConfig Beside(FeedForwardSlotOptions layer)
    {
        LanguageModelConfig OfWidth(int width) => Backbone with { SparseLayer = layer, FeedForwardWidth = width };
        long Macs(int width) => OfWidth(width).GetCost().ForwardMacs;
        return OfWidth(1 + (int)((Backbone.GetCost().ForwardMacs - Macs(1)) / (Macs(2) - Macs(1))));
    }
}

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
    // Learning rates that --tune tries.
    private static readonly double[] Rates = [1e-3, 2e-3, 4e-3, 8e-3];

    // The best of those for every model, after 400 steps on a part of the training text (results/).
    private const double TunedRate = 2e-3;

    private static readonly LanguageModelConfig Backbone = LanguageModelConfig.Small with { ContextLength = 64, SparseLayer = null };

    /// <summary>The models, of equal multiply-adds a token: the dense layers beside a sparse one get what it leaves. Their learning rate is the one that <c>--tune</c> found best for each of them.</summary>
    public static IReadOnlyList<Variant> All { get; } =
    [
        new("dense", Backbone, TunedRate),
        new("PKM, 16,384 memories", Beside(new ProductKeyMemoryOptions { Memories = 128 * 128, Heads = 4, MemoriesPerHead = 32, QueryWidth = 64 }), TunedRate),
        new("MoE, 16 experts, 2 a token", Beside(new MixtureSlotOptions { Mixture = new() { Router = new TopKRouterOptions { Experts = 16, ExpertsPerToken = 2 }, ExpertWidth = 256 } }), TunedRate),
        new("PEER, 16,384 experts", Beside(new PeerOptions { Experts = 128 * 128, Heads = 4, ExpertsPerHead = 16, QueryWidth = 64 }), TunedRate),
    ];

    /// <summary>Every model with several learning rates.</summary>
    public static IReadOnlyList<Variant> WithOtherRates { get; } =
        [.. All.SelectMany(variant => Rates.Select(rate => variant with { Name = FormattableString.Invariant($"{variant.Name}; {rate:0.0e0}"), LearningRate = rate }))];

    // The widest dense layers with which the model costs no more than the backbone.
    private static LanguageModelConfig Beside(FeedForwardSlotOptions layer)
    {
        LanguageModelConfig OfWidth(int width) => Backbone with { SparseLayer = layer, FeedForwardWidth = width };
        long Macs(int width) => OfWidth(width).GetCost().ForwardMacs;
        return OfWidth(1 + (int)((Backbone.GetCost().ForwardMacs - Macs(1)) / (Macs(2) - Macs(1))));
    }
}

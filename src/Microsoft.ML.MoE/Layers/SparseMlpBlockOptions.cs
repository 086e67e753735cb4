using System.Diagnostics.CodeAnalysis;
using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Sizes and mixtures of a <see cref="SparseMlpBlock"/>.</summary>
public sealed record SparseMlpBlockOptions
{
    /// <summary>Makes options whose sizes are set by an initializer.</summary>
    public SparseMlpBlockOptions()
    {
    }

    /// <summary>Makes options of a block that rescales nothing, also in languages that know no required members.</summary>
    /// <param name="patches">Patches S of an image.</param>
    /// <param name="width">Channels C.</param>
    /// <param name="spatialWidth">Hidden width of the spatial network or of each spatial expert.</param>
    /// <param name="channelWidth">Hidden width of the channel network or of each channel expert.</param>
    [SetsRequiredMembers]
    public SparseMlpBlockOptions(int patches, int width, int spatialWidth, int channelWidth) =>
        (Patches, Width, InnerPatches, InnerWidth, SpatialWidth, ChannelWidth) = (
            patches, width, patches, width, spatialWidth, channelWidth);

    /// <summary>Patches S of an image.</summary>
    public required int Patches { get; init; }

    /// <summary>Channels C.</summary>
    public required int Width { get; init; }

    /// <summary>What the re-represent layers rescale.</summary>
    public ReRepresentedAxes ReRepresented { get; init; }

    /// <summary>Patches S′ between the re-represent layers; S where patches are not rescaled.</summary>
    public required int InnerPatches { get; init; }

    /// <summary>Channels C′ between the re-represent layers; C where channels are not rescaled.</summary>
    public required int InnerWidth { get; init; }

    /// <summary>Hidden width D_S′ of the spatial network or of each spatial expert.</summary>
    public required int SpatialWidth { get; init; }

    /// <summary>Hidden width D_C′ of the channel network or of each channel expert.</summary>
    public required int ChannelWidth { get; init; }

    /// <summary>How channels choose spatial experts; null for one dense network.</summary>
    public TopKRouterOptions? SpatialRouter { get; init; }

    /// <summary>How patches choose channel experts; null for one dense network.</summary>
    public TopKRouterOptions? ChannelRouter { get; init; }

    /// <summary>Limit of items per expert while training; null (default) for none. The paper mentions none.</summary>
    public ExpertCapacity? TrainingCapacity { get; init; }

    /// <summary>Limit of items per expert in evaluation, counted within each image; null (default) for none.</summary>
    public ExpertCapacity? EvaluationCapacity { get; init; }

    /// <summary>
    /// Probability that an image skips a branch, a mixture or dense network, while training, 0 (default) to below 1. Its items are routed
    /// all the same.
    /// </summary>
    public double DropPath { get; init; }

    internal MixtureOfExpertsOptions MixtureOptions(TopKRouterOptions router, int expertWidth) =>
        new() { Router = router, ExpertWidth = expertWidth, TrainingCapacity = TrainingCapacity, EvaluationCapacity = EvaluationCapacity };
}

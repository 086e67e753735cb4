// Axes: N = images, C = channels or classes, H = height, W = width, L = tokens of an image, T = N·L, D = model width.

using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>A WideNet that shares attention and mixture, routes in every block, and has no class token and no dropout.</summary>
internal sealed class TorchWideNet : ITorchClassifier
{
    private readonly WideNetConfig config;
    private readonly TorchPatches patches;
    private readonly (TorchNorm Attention, TorchNorm Mixture)[] norms;
    private readonly TorchAttention attention;
    private readonly TorchMixture mixture;
    private readonly TorchNorm finalNorm;
    private readonly TorchLinear classes;

    /// <param name="model">The model whose weights are copied.</param>
    public TorchWideNet(ImageClassifier model)
    {
        config = (WideNetConfig)model.Config;
        if (config.ClassToken != ClassToken.None || config.Representation || config.Dropout > 0 || config.DropPath > 0
            || config.Experts == 0 || !config.ShareParameters || config.ShareLayerNorms || config.RoutingGroups is not null
            || config.EvaluationCapacity is not null
            || config.TrainingCapacity is not (null or { Rule: CapacityRule.EvenShare, Priority: CapacityPriority.TokenOrder }))
            throw new ArgumentException("The frozen WideNet is that of WideNetConfig.Small.", nameof(model));
        Weights = new TorchWeights(model);
        patches = new TorchPatches(Weights.Linear("patches.projection"), config.PatchSize);
        norms =
        [
            .. Enumerable.Range(0, config.Blocks).Select(i =>
                (Weights.Norm($"attentionNorms.{i}"), Weights.Norm($"mixtureNorms.{i}"))),
        ];
        attention = Weights.Attention("attentions.0", config.Heads);
        mixture = new TorchMixture(Weights, "mixtures.0", config);
        finalNorm = Weights.Norm("finalNorm");
        classes = Weights.Linear("classes");
    }

    public TorchWeights Weights { get; }

    public (Tensor Logits_NC, Tensor? Auxiliary) Forward(Tensor images_NCHW, bool training)
    {
        using var scope = NewDisposeScope();
        var x_NLD = patches.Apply(images_NCHW).Plus(Weights["positions"]);
        Tensor? balance = null;
        foreach (var (attentionNorm, mixtureNorm) in norms)
        {
            x_NLD = x_NLD.Plus(attention.Apply(attentionNorm.Apply(x_NLD)));
            var (mixed_TD, ofBlock) = mixture.Apply(mixtureNorm.Apply(x_NLD).flatten(0, 1), training);
            x_NLD = x_NLD.Plus(mixed_TD.view(x_NLD.shape));
            balance = ofBlock is null ? null : balance?.Plus(ofBlock) ?? ofBlock;
        }

        return (
            classes.Apply(finalNorm.Apply(x_NLD).mean([1])).MoveToOuterDisposeScope(),
            balance?.Times(config.BalanceLossWeight).MoveToOuterDisposeScope());
    }

    public void Dispose() => Weights.Dispose();
}

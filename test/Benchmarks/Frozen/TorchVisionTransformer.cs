// Axes: N = images, C = channels or classes, H = height, W = width, L = tokens of an image, D = model width.

using Microsoft.ML.MoE.Models;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>A dense ViT without class token, dropout and representation layer.</summary>
internal sealed class TorchVisionTransformer : ITorchClassifier
{
    private readonly TorchPatches patches;
    private readonly (TorchNorm AttentionNorm, TorchAttention Attention, TorchNorm Norm, TorchFeedForward FeedForward)[] blocks;
    private readonly TorchNorm finalNorm;
    private readonly TorchLinear classes;

    /// <param name="model">The model whose weights are copied.</param>
    public TorchVisionTransformer(ImageClassifier model)
    {
        var config = (VisionTransformerConfig)model.Config;
        if (config.ClassToken != ClassToken.None || config.Representation || config.Dropout > 0 || config.DropPath > 0
            || config.MixtureBlocks > 0)
            throw new ArgumentException("The frozen ViT has no class token, representation layer, dropout and experts.", nameof(model));
        Weights = new TorchWeights(model);
        patches = new TorchPatches(Weights.Linear("patches.projection"), config.PatchSize);
        blocks =
        [
            .. Enumerable.Range(0, config.Blocks).Select(i =>
                (
                    Weights.Norm($"attentionNorms.{i}"),
                    Weights.Attention($"attentions.{i}", config.Heads),
                    Weights.Norm($"feedForwardNorms.{i}"),
                    Weights.FeedForward($"feedForwards.{i}"))),
        ];
        finalNorm = Weights.Norm("finalNorm");
        classes = Weights.Linear("classes");
    }

    public TorchWeights Weights { get; }

    public (Tensor Logits_NC, Tensor? Auxiliary) Forward(Tensor images_NCHW, bool training)
    {
        using var scope = NewDisposeScope();
        var x_NLD = patches.Apply(images_NCHW).Plus(Weights["positions"]);
        foreach (var (attentionNorm, attention, norm, feedForward) in blocks)
        {
            x_NLD = x_NLD.Plus(attention.Apply(attentionNorm.Apply(x_NLD)));
            x_NLD = x_NLD.Plus(feedForward.Apply(norm.Apply(x_NLD)));
        }

        return (classes.Apply(finalNorm.Apply(x_NLD).mean([1])).MoveToOuterDisposeScope(), null);
    }

    public void Dispose() => Weights.Dispose();
}

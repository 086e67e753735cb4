// Axes: N = images, C = channels, H = height, W = width, L = tokens, D = model width, H = heads, A = D/H.

using Microsoft.ML.MoE.Models;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>The dense encoder of a generalist, for images.</summary>
internal sealed class TorchGeneralistEncoder : IDisposable
{
    private readonly TorchWeights weights;
    private readonly TorchPatches patches;
    private readonly TorchNorm embeddingNorm;
    private readonly Block[] blocks;
    private readonly TorchNorm finalNorm;
    private readonly TorchLinear projection;

    /// <param name="model">The dense model whose weights are copied.</param>
    public TorchGeneralistEncoder(Microsoft.ML.MoE.Models.Generalist model)
    {
        var config = model.Config;
        if (config.Block.Experts is not null || config.Prompts > 0)
            throw new ArgumentException("The frozen encoder has no experts and no prompts.", nameof(model));
        weights = new TorchWeights(model);
        patches = new TorchPatches(weights.Linear("patches.projection"), config.PatchSize);
        embeddingNorm = weights.Norm("embeddingNorm");
        blocks =
        [
            .. Enumerable.Range(0, config.Blocks).Select(i => new Block(
                weights.Norm($"blocks.{i}.attentionNorm"),
                new TorchAttention(
                    weights.Linear($"blocks.{i}.queryKeyValue.dense"),
                    weights.Linear($"blocks.{i}.attentionOutput.dense"),
                    config.Block.Heads),
                weights[$"blocks.{i}.attentionScale"],
                weights.Norm($"blocks.{i}.feedForwardNorm"),
                new TorchFeedForward(weights.Linear($"blocks.{i}.expand.dense"), weights.Linear($"blocks.{i}.contract.dense")),
                weights[$"blocks.{i}.feedForwardScale"])),
        ];
        finalNorm = weights.Norm("finalNorm");
        projection = weights.Linear("projection");
    }

    /// <summary>Representations (N, L, D) of images, behind the special token.</summary>
    public Tensor Encode(Tensor images_NCHW)
    {
        using var scope = NewDisposeScope();
        var pictures_NLD = patches.Apply(images_NCHW).Plus(weights["positionsOfPatches"]).Plus(weights["types"].select(0, 1));
        var special = weights["special"];
        var x_NLD = embeddingNorm.Apply(cat([special.unsqueeze(0).expand(images_NCHW.shape[0], 1, special.shape[1]), pictures_NLD], 1));
        foreach (var block in blocks)
        {
            x_NLD = x_NLD.Plus(block.Attention.Apply(block.AttentionNorm.Apply(x_NLD)) * block.AttentionScale);
            x_NLD = x_NLD.Plus(block.FeedForward.Apply(block.Norm.Apply(x_NLD)) * block.Scale);
        }

        return projection.Apply(finalNorm.Apply(x_NLD)).MoveToOuterDisposeScope();
    }

    public void Dispose() => weights.Dispose();

    private sealed record Block(
        TorchNorm AttentionNorm,
        TorchAttention Attention,
        Parameter AttentionScale,
        TorchNorm Norm,
        TorchFeedForward FeedForward,
        Parameter Scale);
}

// Axes: N = images, S = patches of an image, C = channels of an image, classes, or channels of a patch, H = height, W = width.

using Microsoft.ML.MoE.Models;
using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>An MLP-Mixer.</summary>
internal sealed class TorchMixer : ITorchClassifier
{
    private readonly TorchPatches patches;
    private readonly (TorchNorm SpatialNorm, TorchFeedForward Spatial, TorchNorm ChannelNorm, TorchFeedForward Channel)[] blocks;
    private readonly TorchNorm finalNorm;
    private readonly TorchLinear classes;

    /// <param name="model">The model whose weights are copied.</param>
    public TorchMixer(ImageClassifier model)
    {
        var config = (MlpMixerConfig)model.Config;
        if (config.DropPath > 0)
            throw new ArgumentException("The frozen Mixer leaves nothing out at random.", nameof(model));
        Weights = new TorchWeights(model);
        patches = new TorchPatches(Weights.Linear("patches.projection"), config.PatchSize);
        blocks =
        [
            .. Enumerable.Range(0, config.Blocks).Select(i =>
                (
                    Weights.Norm($"blocks.{i}.spatialNorm"),
                    Weights.FeedForward($"blocks.{i}.spatial"),
                    Weights.Norm($"blocks.{i}.channelNorm"),
                    Weights.FeedForward($"blocks.{i}.channel"))),
        ];
        finalNorm = Weights.Norm("finalNorm");
        classes = Weights.Linear("classes");
    }

    public TorchWeights Weights { get; }

    public (Tensor Logits_NC, Tensor? Auxiliary) Forward(Tensor images_NCHW, bool training)
    {
        using var scope = NewDisposeScope();
        var x_NSC = patches.Apply(images_NCHW);
        foreach (var (spatialNorm, spatial, channelNorm, channel) in blocks)
        {
            x_NSC = x_NSC.Plus(spatial.Apply(spatialNorm.Apply(x_NSC).transpose(1, 2)).transpose(1, 2));
            x_NSC = x_NSC.Plus(channel.Apply(channelNorm.Apply(x_NSC)));
        }

        return (classes.Apply(finalNorm.Apply(x_NSC).mean([1])).MoveToOuterDisposeScope(), null);
    }

    public void Dispose() => Weights.Dispose();
}

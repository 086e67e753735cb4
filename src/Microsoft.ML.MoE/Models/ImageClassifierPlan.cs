// Scoring without libtorch: what a network computes in evaluation, as steps on numbers in memory with weights that were packed once.
//
// Axes: N = images, C = channels or classes, H = height, W = width, D = width of a pooled vector.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// The scores that <see cref="ImageClassifier"/> gives in evaluation, to rounding, with the weights that it had when the plan was made. For
/// any number of threads at a time; they wait for nobody. Owns nothing that has to be disposed.
/// </summary>
/// <param name="config">The network's configuration.</param>
internal abstract unsafe class ImageClassifierPlan(ImageClassifierConfig config)
{
    private const int NumbersAtATime = 1 << 16;   // of the images of a pass, at the model's width: 256 KB

    private readonly PlanRunner runner = new();
    private readonly long work = config.GetCost().ForwardMacs;

    /// <summary>Tokens of an image, times their width.</summary>
    private protected abstract int NumbersOfImage { get; }

    /// <summary>Scores images.</summary>
    /// <param name="count">How many.</param>
    /// <param name="fill">Gives the normalised images.</param>
    /// <param name="logits_NC">Receives the scores before the softmax (N, C).</param>
    /// <param name="features_ND">Receives the pooled vectors (N, D); null where they are not wanted.</param>
    public void Run(int count, ImageFill fill, float* logits_NC, float* features_ND) =>
        runner.Run(count, Math.Max(1, NumbersAtATime / NumbersOfImage), work, (workspace, first, images) =>
        {
            var pixels = workspace.Floats((long)images * config.Channels * config.ImageHeight * config.ImageWidth);
            fill(first, images, pixels);
            var features = features_ND == null
                ? workspace.Floats((long)images * config.FeatureWidth)
                : features_ND + ((nint)first * config.FeatureWidth);
            Run(workspace, pixels, images, logits_NC + ((nint)first * config.ClassCount), features);
            GC.KeepAlive(this);   // the last product reads weights by their addresses
        });

    /// <summary>Scores images that lie in a tensor.</summary>
    /// <param name="images_NCHW">Normalised images, float32 (N, C, H, W) of the configured size, on the CPU.</param>
    /// <returns>Scores before the softmax, float32 (N, C); the caller's dispose scope owns them.</returns>
    /// <exception cref="ArgumentException">The images have another shape or type.</exception>
    public Tensor Score(Tensor images_NCHW)
    {
        ImageClassifier.CheckImages(images_NCHW, config);
        using var scope = NewDisposeScope();
        var contiguous_NCHW = images_NCHW.contiguous();
        var count = checked((int)images_NCHW.shape[0]);
        var logits_NC = empty([count, config.ClassCount]);
        var source = Memory.Floats(contiguous_NCHW);
        var size = config.Channels * config.ImageHeight * config.ImageWidth;
        Run(
            count,
            (first, images, target) =>
                new ReadOnlySpan<float>(source + ((nint)first * size), images * size).CopyTo(new(target, images * size)),
            Memory.Floats(logits_NC),
            null);
        GC.KeepAlive(contiguous_NCHW);
        return logits_NC.MoveToOuterDisposeScope();
    }

    /// <summary>One pass.</summary>
    private protected abstract void Run(Workspace workspace, float* pixels_NCHW, int images, float* logits_NC, float* features_ND);
}

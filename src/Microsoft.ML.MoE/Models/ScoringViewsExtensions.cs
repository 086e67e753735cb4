// Axes: N = images, C = channels or classes, H = height, W = width, D = width of the pooled vector.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>Makes the views and averages what a model says of them.</summary>
internal static class ScoringViewsExtensions
{
    /// <summary>How many forward passes it takes.</summary>
    public static int Count(this ScoringViews views) => views switch
    {
        ScoringViews.One => 1,
        ScoringViews.Mirrored => 2,
        _ => 6,
    };

    /// <summary>
    /// The mean over the views: each is a forward pass of its own, so that an image meets no other view in the experts' queues.
    /// </summary>
    /// <param name="views">Which.</param>
    /// <param name="model">The model, in evaluation mode.</param>
    /// <param name="images_NCHW">Normalised images, (N, C, H, W).</param>
    /// <returns>float32 (N, C) and (N, D); the caller's dispose scope owns them.</returns>
    public static (Tensor Logits_NC, Tensor Features_ND) Average(this ScoringViews views, ImageClassifier model, Tensor images_NCHW)
    {
        if (views == ScoringViews.One)
        {
            var only = model.call(images_NCHW);
            return (only.Logits_NC, only.Features_ND);
        }

        using var scope = NewDisposeScope();
        var (logits_NC, features_ND) = ((Tensor?)null, (Tensor?)null);
        foreach (var (weight, make) in Weighted(views, images_NCHW))
        {
            using var viewScope = NewDisposeScope();
            var output = model.call(make());
            logits_NC = Plus(logits_NC, output.Logits_NC, weight);
            features_ND = Plus(features_ND, output.Features_ND, weight);
        }
        return (logits_NC!.MoveToOuterDisposeScope(), features_ND!.MoveToOuterDisposeScope());

        static Tensor Plus(Tensor? sum, Tensor term, double weight)
        {
            if (sum is null)
                return term.Times(weight).MoveToOuterDisposeScope();
            sum.PlusInPlace(term, weight);
            return sum;
        }
    }

    private static IEnumerable<(double Weight, Func<Tensor> Make)> Weighted(ScoringViews views, Tensor images_NCHW)
    {
        var share = views == ScoringViews.Mirrored ? 1.0 / 2 : 1.0 / 4;
        yield return (share, () => images_NCHW);
        yield return (share, () => images_NCHW.flip(3));
        if (views == ScoringViews.Mirrored)
            yield break;
        foreach (var from in new[] { 0, 2 })
        {
            yield return (share / 2, () => Window(from));
            yield return (share / 2, () => Window(from).flip(3));
        }

        // Of the image with a border of one pixel, of its own size.
        Tensor Window(int from) =>
            nn.functional.pad(images_NCHW, [1, 1, 1, 1], PaddingModes.Reflect)
                .narrow(2, from, images_NCHW.shape[2])
                .narrow(3, from, images_NCHW.shape[3])
                .contiguous();
    }
}

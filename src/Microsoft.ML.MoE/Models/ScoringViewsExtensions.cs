// Axes: N = images, C = channels or classes, H = height, W = width, D = width of the pooled vector.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>Makes the views and averages what a model says of them.</summary>
internal static class ScoringViewsExtensions
{
    /// <summary>How many forward passes it takes.</summary>
    public static int Count(this ScoringViews views) => views.Each().Count;

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
        foreach (var view in views.Each())
        {
            using var viewScope = NewDisposeScope();
            var output = model.call(view.Of(images_NCHW));
            logits_NC = Plus(logits_NC, output.Logits_NC, view.Weight);
            features_ND = Plus(features_ND, output.Features_ND, view.Weight);
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

    /// <summary>The views. The image itself and its mirror image come first; their weights add up to 1.</summary>
    public static IReadOnlyList<ScoringView> Each(this ScoringViews views) => views switch
    {
        ScoringViews.One => [new(1, 0, false)],
        ScoringViews.Mirrored => [new(1.0 / 2, 0, false), new(1.0 / 2, 0, true)],
        _ =>
        [
            new(1.0 / 4, 0, false), new(1.0 / 4, 0, true),
            new(1.0 / 8, -1, false), new(1.0 / 8, -1, true), new(1.0 / 8, 1, false), new(1.0 / 8, 1, true),
        ],
    };
}

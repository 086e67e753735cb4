namespace Microsoft.ML.MoE.Models;

/// <summary>
/// The views of an image that are scored together (test-time augmentation): the class scores before the softmax, and the pooled vectors,
/// are averaged over them, as in the CIFAR-10 speed runs (arXiv 2404.00498, "multi-crop evaluation"). Scoring takes as many times as long
/// as there are views.
/// </summary>
public enum ScoringViews
{
    /// <summary>The image alone.</summary>
    One,

    /// <summary>The image and its mirror image: two views of the same weight.</summary>
    Mirrored,

    /// <summary>
    /// Those two, and both shifted by a pixel to the lower right and to the upper left, with the border reflected: six views, of which the
    /// first two count twice. For images of at least 2 pixels a side.
    /// </summary>
    MirroredAndShifted,
}

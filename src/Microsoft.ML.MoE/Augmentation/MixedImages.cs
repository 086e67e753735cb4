// Axes: N = images, C = channels or classes, H = height, W = width.

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Images that are mixtures of two, with targets that say how much of which class is in them. Both tensors are the caller's to dispose.
/// </summary>
/// <param name="Images_NCHW">The images, in the shape and type that they came in.</param>
/// <param name="Targets_NC">The part of each class, float32 (N, C): at least 0, with the sum 1, or what the images weigh.</param>
internal sealed record MixedImages(Tensor Images_NCHW, Tensor Targets_NC);

// Axes: N = images, C = channels or classes, H = height, W = width.

using static TorchSharp.torch;

namespace Benchmarks.Frozen;

/// <summary>
/// A classifier in libtorch's operators alone, as the library's own was at commit 21ea1e7: what the library is compared with must not
/// become faster with its kernels.
/// </summary>
internal interface ITorchClassifier : IDisposable
{
    /// <summary>The weights, under the names that the library's model has them.</summary>
    TorchWeights Weights { get; }

    /// <summary>Scores of the classes and, while training, the weighted balance loss; null for none.</summary>
    (Tensor Logits_NC, Tensor? Auxiliary) Forward(Tensor images_NCHW, bool training);
}

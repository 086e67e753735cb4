// Axes: N = images, C = channels, H = height, W = width.

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>What augmentations ask of the images that they are given.</summary>
internal static class ImageShapes
{
    /// <summary>Refuses what is not (N, C, H, W).</summary>
    public static void Require(Tensor images_NCHW)
    {
        if (images_NCHW.dim() != 4)
            throw new ArgumentException(
                $"The images have the shape ({string.Join(", ", images_NCHW.shape)}); (N, C, H, W) is wanted.", nameof(images_NCHW));
    }
}

// Axes: N = images, C = channels, H = height, W = width.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Images with their classes. Owns its tensors.</summary>
internal sealed class ImageBatch : IDisposable
{
    /// <summary>Takes the tensors over, out of any dispose scope.</summary>
    /// <param name="images_NCHW">Normalised images, float32 (N, C, H, W), N at least 1, on any device.</param>
    /// <param name="labels_N">The class of each image from 0, int64 (N), on the same device.</param>
    /// <param name="mirrored_N">Which images are to be mirrored, bool (N), on the same device; null where that is not decided yet.</param>
    /// <param name="weights_N">What the loss of each image is multiplied by, float32 (N), on the same device; null for 1.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public ImageBatch(Tensor images_NCHW, Tensor labels_N, Tensor? mirrored_N = null, Tensor? weights_N = null)
    {
        if (images_NCHW.dim() != 4 || images_NCHW.dtype != ScalarType.Float32 || images_NCHW.shape[0] == 0)
            throw new ArgumentException(
                $"The images are {images_NCHW.dtype} ({string.Join(", ", images_NCHW.shape)}); Float32 (N, C, H, W) with at least one "
                    + "image is wanted.",
                nameof(images_NCHW));
        if (labels_N.dim() != 1 || labels_N.dtype != ScalarType.Int64 || labels_N.shape[0] != images_NCHW.shape[0])
            throw new ArgumentException(
                $"The labels are {labels_N.dtype} ({string.Join(", ", labels_N.shape)}); Int64 ({images_NCHW.shape[0]}) is wanted, one "
                    + "label an image.",
                nameof(labels_N));
        Require(mirrored_N, ScalarType.Bool, images_NCHW.shape[0], nameof(mirrored_N));
        Require(weights_N, ScalarType.Float32, images_NCHW.shape[0], nameof(weights_N));
        Images_NCHW = images_NCHW.DetachFromDisposeScope();
        Labels_N = labels_N.DetachFromDisposeScope();
        Mirrored_N = mirrored_N?.DetachFromDisposeScope();
        Weights_N = weights_N?.DetachFromDisposeScope();
    }

    /// <summary>Normalised images, float32 (N, C, H, W).</summary>
    public Tensor Images_NCHW { get; }

    /// <summary>The class of each image, int64 (N).</summary>
    public Tensor Labels_N { get; }

    /// <summary>Which images are to be mirrored before the model sees them, bool (N); null where that is not decided yet.</summary>
    public Tensor? Mirrored_N { get; }

    /// <summary>What the loss of each image is multiplied by, float32 (N); null for 1.</summary>
    public Tensor? Weights_N { get; }

    /// <summary>Number N of images.</summary>
    public int Count => (int)Images_NCHW.shape[0];

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Images_NCHW.Dispose();
        Labels_N.Dispose();
        Mirrored_N?.Dispose();
        Weights_N?.Dispose();
    }

    private static void Require(Tensor? perImage, ScalarType type, long images, string name)
    {
        if (perImage is not null && (perImage.dim() != 1 || perImage.dtype != type || perImage.shape[0] != images))
            throw new ArgumentException(
                $"'{name}' is {perImage.dtype} ({string.Join(", ", perImage.shape)}); {type} ({images}) is wanted, one an image.", name);
    }
}

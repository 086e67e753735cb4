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
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public ImageBatch(Tensor images_NCHW, Tensor labels_N, Tensor? mirrored_N = null)
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
        if (mirrored_N is not null
            && (mirrored_N.dim() != 1 || mirrored_N.dtype != ScalarType.Bool || mirrored_N.shape[0] != images_NCHW.shape[0]))
            throw new ArgumentException(
                $"Which images are mirrored is {mirrored_N.dtype} ({string.Join(", ", mirrored_N.shape)}); Bool ({images_NCHW.shape[0]}) is "
                    + "wanted.",
                nameof(mirrored_N));
        Images_NCHW = images_NCHW.DetachFromDisposeScope();
        Labels_N = labels_N.DetachFromDisposeScope();
        Mirrored_N = mirrored_N?.DetachFromDisposeScope();
    }

    /// <summary>Normalised images, float32 (N, C, H, W).</summary>
    public Tensor Images_NCHW { get; }

    /// <summary>The class of each image, int64 (N).</summary>
    public Tensor Labels_N { get; }

    /// <summary>Which images are to be mirrored before the model sees them, bool (N); null where that is not decided yet.</summary>
    public Tensor? Mirrored_N { get; }

    /// <summary>Number N of images.</summary>
    public int Count => (int)Images_NCHW.shape[0];

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Images_NCHW.Dispose();
        Labels_N.Dispose();
        Mirrored_N?.Dispose();
    }
}

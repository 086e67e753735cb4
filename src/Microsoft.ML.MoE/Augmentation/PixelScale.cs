// Between normalised images and pixels from 0 to 1.
//
// Axes: N = images, C = channels, H = height, W = width.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// How a model's normalised images are made of pixels from 0, black, to 1, white: x = (pixel − mean) / deviation, by channel.
/// </summary>
/// <param name="Mean">The mean of each channel, in pixels from 0 to 1.</param>
/// <param name="Deviation">What each channel was divided by, above 0.</param>
internal sealed record PixelScale(IReadOnlyList<float> Mean, IReadOnlyList<float> Deviation)
{
    /// <summary>Checks the numbers.</summary>
    /// <exception cref="ArgumentException">There is not one finite mean and one deviation above 0 for each channel.</exception>
    public void Validate()
    {
        if (Mean.Count == 0 || Mean.Count != Deviation.Count)
            throw new ArgumentException(
                $"{nameof(Mean)} has {Mean.Count} numbers and {nameof(Deviation)} has {Deviation.Count}; one of each a channel is wanted.");
        if (!Mean.All(float.IsFinite))
            throw new ArgumentException($"{nameof(Mean)} is ({string.Join(", ", Mean)}); finite numbers are wanted.");
        if (!Deviation.All(deviation => float.IsFinite(deviation) && deviation > 0))
            throw new ArgumentException($"{nameof(Deviation)} is ({string.Join(", ", Deviation)}); finite numbers above 0 are wanted.");
    }

    /// <summary>Pixels of normalised images. What lies outside becomes 0 or 1.</summary>
    internal Tensor ToPixels(Tensor images_NCHW)
    {
        if (images_NCHW.shape[1] != Mean.Count)
            throw new ArgumentException(
                $"The images have {images_NCHW.shape[1]} channels and {nameof(PixelScale)} has {Mean.Count}; they must be equal.");
        using var scope = NewDisposeScope();
        return images_NCHW
            .mul(Channels(Deviation, images_NCHW))
            .PlusInPlace(Channels(Mean, images_NCHW))
            .ClampInPlace(0, 1)
            .MoveToOuterDisposeScope();   // in the layout of the images
    }

    /// <summary>Normalised images of pixels.</summary>
    internal Tensor FromPixels(Tensor pixels_NCHW)
    {
        using var scope = NewDisposeScope();
        return pixels_NCHW.sub(Channels(Mean, pixels_NCHW)).div_(Channels(Deviation, pixels_NCHW)).MoveToOuterDisposeScope();
    }

    private static Tensor Channels(IReadOnlyList<float> numbers, Tensor like) =>
        tensor([.. numbers], [1, numbers.Count, 1, 1], like.dtype).to(like.device);
}

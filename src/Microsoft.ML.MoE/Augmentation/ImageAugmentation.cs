// What happens to training images before a model sees them. Random crop after padding, and random mirroring, are what small-image training has used since ResNet
// (arXiv 1512.03385, section 4.2); the other changes have files of their own.
//
// Axes: N = images, C = channels, H = height, W = width, P = padding.

using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>Random changes to training images that keep their class. All images of a batch at once, on their device, each with its own random numbers.</summary>
public sealed record ImageAugmentation
{
    /// <summary>No change.</summary>
    public static ImageAugmentation None { get; } = new();

    /// <summary>
    /// Zeros put around an image, in pixels, before a window of its own size is cut out at a random place: shifts by up to this many pixels each way. Default 0: no crop. After
    /// normalisation 0 is the mean colour.
    /// </summary>
    public int CropPadding { get; init; }

    /// <summary>Probability, 0 to 1, that an image is mirrored left to right. Default 0.</summary>
    public double FlipProbability { get; init; }

    /// <summary>Random erasing, the last of the changes. Default null: none.</summary>
    public RandomErasing? Erasing { get; init; }

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value wanted.</exception>
    public void Validate()
    {
        OptionChecks.AtLeast(0, CropPadding, nameof(CropPadding));
        OptionChecks.Between(0, 1, FlipProbability, nameof(FlipProbability));
        Erasing?.Validate();
    }

    /// <summary>Changes a batch.</summary>
    /// <param name="images_NCHW">Images, (N, C, H, W).</param>
    /// <param name="generator">Where the random numbers come from: a generator of the CPU, so that the same seed does the same to the images on every device.</param>
    /// <returns>Images of the same shape and type: the caller's to dispose, also where nothing changes and it shares the memory of the input.</returns>
    /// <exception cref="ArgumentException">The images have another number of axes, or an option is out of range.</exception>
    public Tensor Apply(Tensor images_NCHW, Generator generator)
    {
        Validate();
        ImageShapes.Require(images_NCHW);
        if (CropPadding == 0 && FlipProbability == 0 && Erasing is null)
            return images_NCHW.alias();

        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var changed_NCHW = CropPadding > 0 || FlipProbability > 0 ? CropAndFlip(images_NCHW, generator) : images_NCHW;
        if (Erasing is not null)
            changed_NCHW = Erasing.Apply(changed_NCHW, generator);
        return changed_NCHW.MoveToOuterDisposeScope();
    }

    private Tensor CropAndFlip(Tensor images_NCHW, Generator generator)
    {
        var device = images_NCHW.device;
        var (images, channels, height, width) = (images_NCHW.shape[0], images_NCHW.shape[1], images_NCHW.shape[2], images_NCHW.shape[3]);
        var padded_NCX = nn.functional.pad(images_NCHW, [CropPadding, CropPadding, CropPadding, CropPadding]).flatten(2);   // (N, C, (H + 2P) · (W + 2P))

        var rows_NH = RandomOffsets(images, generator, device) + arange(height, device: device);
        var columns_NW = RandomOffsets(images, generator, device) + RandomlyMirrored(images, width, generator, device);
        var pixels_NHW = (rows_NH.unsqueeze(2) * (width + (2 * CropPadding))) + columns_NW.unsqueeze(1);
        return padded_NCX.gather(2, pixels_NHW.view(images, 1, height * width).expand(images, channels, height * width)).view(images, channels, height, width);
    }

    private Tensor RandomOffsets(long images, Generator generator, Device device) =>
        randint(0, (2 * CropPadding) + 1, [images, 1], ScalarType.Int64, CPU, generator: generator).to(device);

    private Tensor RandomlyMirrored(long images, long width, Generator generator, Device device)
    {
        var mirrored_N1 = rand([images, 1], device: CPU, generator: generator).lt(FlipProbability).to(device);
        var column_W = arange(width, device: device);
        return where(mirrored_N1, width - 1 - column_W, column_W);
    }
}

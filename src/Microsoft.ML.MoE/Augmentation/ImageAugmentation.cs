// What happens to training images before a model sees them. Random crop after padding, and random mirroring, are what small-image training
// has used since ResNet (arXiv 1512.03385, section 4.2); the other changes have files of their own.
//
// Axes: N = images, C = channels, H = height, W = width, P = padding.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Random changes to training images that keep their class. All images of a batch at once, on their device, each with its own random
/// numbers. The changes come in the order of the properties; those that change colours work on pixels from 0 to 1, which
/// <see cref="Pixels"/> makes of the normalised images and back.
/// </summary>
internal sealed record ImageAugmentation
{
    /// <summary>No change.</summary>
    public static ImageAugmentation None { get; } = new();

    /// <summary>
    /// The first of MoCo v3's two views of an image (arXiv 2104.02057, after arXiv 2006.07733): always blurred. Set <see cref="Pixels"/>;
    /// the blur is for images of 224 pixels.
    /// </summary>
    public static ImageAugmentation MoCoV3First { get; } = new()
    {
        RandomResizedCrop = new(),
        FlipProbability = 0.5,
        ColorJitter = new() { Probability = 0.8, Brightness = 0.4, Contrast = 0.4, Saturation = 0.2, Hue = 0.1 },
        Grayscale = new() { Probability = 0.2 },
        GaussianBlur = new() { Probability = 1 },
    };

    /// <summary>The second of MoCo v3's two views of an image: seldom blurred, sometimes solarised. Set <see cref="Pixels"/>.</summary>
    public static ImageAugmentation MoCoV3Second { get; } = MoCoV3First with
    {
        GaussianBlur = new() { Probability = 0.1 },
        Solarize = new() { Probability = 0.2 },
    };

    /// <summary>
    /// How the images are normalised. Default null; needed where a change works on pixels: <see cref="RandAugment"/>,
    /// <see cref="ColorJitter"/>, <see cref="Grayscale"/>, <see cref="Solarize"/>.
    /// </summary>
    public PixelScale? Pixels { get; init; }

    /// <summary>A part of the image enlarged to its whole. Default null: none. Takes the place of <see cref="CropPadding"/>.</summary>
    public RandomResizedCrop? RandomResizedCrop { get; init; }

    /// <summary>
    /// Zeros put around an image, in pixels, before a window of its own size is cut out at a random place: shifts by up to this many pixels
    /// each way. Default 0: no crop. After normalisation 0 is the mean colour.
    /// </summary>
    public int CropPadding { get; init; }

    /// <summary>Probability, 0 to 1, that an image is mirrored left to right. Default 0.</summary>
    public double FlipProbability { get; init; }

    /// <summary>
    /// A few operations out of fourteen. Default null: none. Without a <see cref="RandAugment.Fill"/> of its own, the mean colour comes in
    /// where an image is moved.
    /// </summary>
    public RandAugment? RandAugment { get; init; }

    /// <summary>Other brightness, contrast, saturation and hue. Default null: the same.</summary>
    public ColorJitter? ColorJitter { get; init; }

    /// <summary>Some images without colours. Default null: none.</summary>
    public Grayscale? Grayscale { get; init; }

    /// <summary>Some images blurred. Default null: none.</summary>
    public GaussianBlur? GaussianBlur { get; init; }

    /// <summary>Bright pixels of some images inverted. Default null: none.</summary>
    public Solarize? Solarize { get; init; }

    /// <summary>A rectangle of some images wiped out. Default null: none.</summary>
    public RandomErasing? RandomErasing { get; init; }

    private bool ChangesColours => RandAugment is not null || ColorJitter is not null || Grayscale is not null || Solarize is not null;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range, or two do not go together; the message names them with the values
    /// found and wanted.</exception>
    public void Validate()
    {
        OptionChecks.AtLeast(0, CropPadding, nameof(CropPadding));
        OptionChecks.Between(0, 1, FlipProbability, nameof(FlipProbability));
        if (RandomResizedCrop is not null && CropPadding > 0)
            throw new ArgumentException(
                $"{nameof(RandomResizedCrop)} is set and {nameof(CropPadding)} is {CropPadding}; an image is cropped one way or the "
                    + "other: leave out one of them.");
        if (ChangesColours && Pixels is null)
        {
            throw new ArgumentException(
                $"{nameof(Pixels)} is not set, but {nameof(RandAugment)}, {nameof(ColorJitter)}, {nameof(Grayscale)} or "
                    + $"{nameof(Solarize)} is, which work on pixels from 0 to 1: "
                    + "say how the images are normalised.");
        }
        Pixels?.Validate();
        RandomResizedCrop?.Validate();
        RandAugment?.Validate();
        ColorJitter?.Validate();
        Grayscale?.Validate();
        GaussianBlur?.Validate();
        Solarize?.Validate();
        RandomErasing?.Validate();
    }

    /// <summary>Changes a batch.</summary>
    /// <param name="images_NCHW">Normalised images, floating point (N, C, H, W).</param>
    /// <param name="generator">Where the random numbers come from: a generator of the CPU, so that the same seed does the same to the
    /// images on every device.</param>
    /// <returns>Images of the same shape and type: the caller's to dispose, also where nothing changes and it shares the memory of the
    /// input.</returns>
    /// <exception cref="ArgumentException">The images have another number of axes or of channels, or an option is out of range.</exception>
    public Tensor Apply(Tensor images_NCHW, Generator generator) => Apply(images_NCHW, generator, mirrored_N: null);

    /// <summary>Changes a batch of which is known which images are mirrored.</summary>
    /// <param name="images_NCHW">See <see cref="Apply(Tensor, Generator)"/>.</param>
    /// <param name="generator">See there.</param>
    /// <param name="mirrored_N">Bool (N), in place of <see cref="FlipProbability"/>; null to draw it.</param>
    internal Tensor Apply(Tensor images_NCHW, Generator generator, Tensor? mirrored_N)
    {
        Validate();
        ImageShapes.Require(images_NCHW);
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var x_NCHW = images_NCHW.alias();
        if (RandomResizedCrop is not null)
            x_NCHW = RandomResizedCrop.Apply(x_NCHW, generator);
        if (CropPadding > 0 || FlipProbability > 0 || mirrored_N is not null)
            x_NCHW = CropAndFlip(x_NCHW, generator, mirrored_N);

        if (ChangesColours)
            x_NCHW = Pixels!.ToPixels(x_NCHW);
        if (RandAugment is not null)
            x_NCHW = (RandAugment with { Fill = RandAugment.Fill ?? MeanColour }).Apply(x_NCHW, generator);
        if (ColorJitter is not null)
            x_NCHW = ColorJitter.Apply(x_NCHW, generator);
        if (Grayscale is not null)
            x_NCHW = Grayscale.Apply(x_NCHW, generator);
        if (GaussianBlur is not null)
            x_NCHW = GaussianBlur.Apply(x_NCHW, generator);
        if (Solarize is not null)
            x_NCHW = Solarize.Apply(x_NCHW, generator);
        if (ChangesColours)
            x_NCHW = Pixels!.FromPixels(x_NCHW);

        if (RandomErasing is not null)
            x_NCHW = RandomErasing.Apply(x_NCHW, generator);
        return x_NCHW.MoveToOuterDisposeScope();
    }

    private float[] MeanColour => [.. Pixels!.Mean.Select(mean => Math.Clamp(mean, 0, 1))];

    private Tensor CropAndFlip(Tensor images_NCHW, Generator generator, Tensor? mirrored_N)
    {
        var device = images_NCHW.device;
        var (images, channels, height, width) = (images_NCHW.shape[0], images_NCHW.shape[1], images_NCHW.shape[2], images_NCHW.shape[3]);
        // (N, C, (H + 2P) · (W + 2P)).
        var padded_NCX = nn.functional.pad(images_NCHW, [CropPadding, CropPadding, CropPadding, CropPadding]).flatten(2);

        var rows_NH = RandomOffsets(images, generator, device).Plus(Range(height, device: device));
        var columns_NW = RandomOffsets(images, generator, device).Plus(Columns(mirrored_N, images, width, generator, device));
        var pixels_NHW = rows_NH.unsqueeze(2).Times(width + (2 * CropPadding)).Plus(columns_NW.unsqueeze(1));
        return padded_NCX
            .gather(2, pixels_NHW.view(images, 1, height * width).expand(images, channels, height * width))
            .view(images, channels, height, width);
    }

    private Tensor RandomOffsets(long images, Generator generator, Device device) =>
        randint(0, (2 * CropPadding) + 1, [images, 1], ScalarType.Int64, CPU, generator: generator).to(device);

    // From right to left where an image is mirrored.
    private Tensor Columns(Tensor? mirrored_N, long images, long width, Generator generator, Device device)
    {
        var mirrored_N1 = mirrored_N?.to(device).unsqueeze(1)
            ?? rand([images, 1], device: CPU, generator: generator).LessThan(FlipProbability).to(device);
        var column_W = Range(width, device: device);
        return where(mirrored_N1, column_W.SubtractedFrom(width - 1), column_W);
    }
}

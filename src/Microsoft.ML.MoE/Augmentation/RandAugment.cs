// RandAugment (arXiv 1909.13719, section 3): a few operations out of fourteen, drawn for each image, all of one magnitude.
//
// Axes: N = images, C = channels, H = height, W = width, S = operations an image, in turn.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>Changes every image of a batch by some operations of its own. For pixels from 0 to 1.</summary>
/// <remarks>
/// <para>
/// At magnitude M from 0 to 15: rotate by 3°·M either way; shear by 0.03·M, from the upper and left border; translate by 4.5 % of the side
/// ·M; color, contrast, brightness and sharpness at 1 ± 0.09·M, at least 0.1, where 1 is the image itself; solarize the pixels from
/// (1 − M/10)·256/255 up; posterize to 8 − 0.4·M bits, rounded; autocontrast, equalize, identity. Directions are drawn for each image.
/// Moved pixels are interpolated bilinearly.
/// </para>
/// <para>
/// Every operation that has a magnitude grows with it from no change at 0, which the paper's own tables do not do for solarize, posterize
/// and the four of color; timm calls this the increasing set ("inc1"). Like there, and in the papers' own code, 10 is where ranges usually
/// end and greater magnitudes go on in proportion (timm: with "mmax15"), as far as an operation can: from 10 on solarize inverts the whole
/// image, and what makes color and contrast less stays at 0.1. In the papers' code solarize and posterize grow weaker with the magnitude,
/// and change little or nothing above 10. torchvision's scale ends at 30: its 9 is a 3 here. An image without three channels has no color
/// to change, and one of less than 3 pixels a side no sharpness.
/// </para>
/// </remarks>
internal sealed record RandAugment
{
    // The scale that magnitudes are given in, and how far it goes.
    private const double Scale = 10;
    private const double Most = 15;

    private static readonly RandAugmentOperation[] All = Enum.GetValues<RandAugmentOperation>();

    /// <summary>Operations an image, one after the other, at least 1. The same one may come twice. Default 2.</summary>
    public int Operations { get; init; } = 2;

    /// <summary>How strong the operations are, 0 to 15. Default 9.</summary>
    public double Magnitude { get; init; } = 9;

    /// <summary>
    /// Standard deviation of the magnitude about <see cref="Magnitude"/>, drawn for each operation of each image and kept within 0 to 10,
    /// or to 15 where the mean is above 10; at least 0. Default 0, as in the paper; timm has 0.5.
    /// </summary>
    public double MagnitudeDeviation { get; init; }

    /// <summary>
    /// The colour that comes in from outside where an image is moved, one pixel value a channel. Default null: grey of 0.5.
    /// </summary>
    public IReadOnlyList<float>? Fill { get; init; }

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        OptionChecks.AtLeast(1, Operations, nameof(Operations));
        OptionChecks.Between(0, Most, Magnitude, nameof(Magnitude));
        OptionChecks.AtLeast(0, MagnitudeDeviation, nameof(MagnitudeDeviation));
        foreach (var value in Fill ?? [])
            OptionChecks.Between(0, 1, value, nameof(Fill));
    }

    /// <summary>Changes a batch.</summary>
    /// <param name="pixels_NCHW">Pixels from 0 to 1, floating point (N, C, H, W).</param>
    /// <param name="generator">Where the random numbers come from: a generator of the CPU, so that the same seed does the same to the
    /// images on every device.</param>
    /// <returns>Pixels from 0 to 1 of the same shape and type; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">The images have another number of axes or of channels, or an option is out of range.</exception>
    public Tensor Apply(Tensor pixels_NCHW, Generator generator)
    {
        Validate();
        ImageShapes.Require(pixels_NCHW);
        var (images, channels) = (pixels_NCHW.shape[0], pixels_NCHW.shape[1]);
        if (Fill is not null && Fill.Count != channels)
            throw new ArgumentException($"{nameof(Fill)} has {Fill.Count} numbers; one for each of the {channels} channels is wanted.");

        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var (operations_NS, magnitudes_NS) = Draw((int)images, generator);
        var fill_1C11 = tensor(Fill?.ToArray() ?? [.. Enumerable.Repeat(0.5f, (int)channels)], [1, channels, 1, 1], pixels_NCHW.dtype)
            .to(pixels_NCHW.device);
        var result_NCHW = pixels_NCHW.clone();
        for (var turn = 0; turn < Operations; turn++)
        {
            // Operations that move pixels are one, by maps of their own.
            var groups = Enumerable.Range(0, (int)images)
                .GroupBy(n => Moves(operations_NS[n, turn]) ? RandAugmentOperation.Rotate : operations_NS[n, turn])
                .OrderBy(group => group.Key);
            foreach (var group in groups)
            {
                var members = new ImageGroup([.. group]);
                members.Change(result_NCHW, pixels_MCHW =>
                {
                    if (group.Key != RandAugmentOperation.Rotate)
                        return Change(
                            pixels_MCHW, group.Key, magnitude => members.Numbers(n => magnitude(magnitudes_NS[n, turn]), pixels_MCHW));
                    var maps = Array.ConvertAll(
                        members.Members, n => Map(operations_NS[n, turn], magnitudes_NS[n, turn], pixels_MCHW));
                    return AffineMap.Warp(pixels_MCHW, maps, fill_1C11);
                });
            }
        }
        return result_NCHW.MoveToOuterDisposeScope();
    }

    /// <summary>Does one operation to all images.</summary>
    /// <param name="pixels_NCHW">Pixels from 0 to 1.</param>
    /// <param name="operation">Which.</param>
    /// <param name="magnitude">Its magnitude in tenths of the scale, −1.5 to 1.5; the sign is the direction of those that have one.</param>
    /// <param name="fill">What comes in from outside, for all channels.</param>
    internal static Tensor ApplyTo(Tensor pixels_NCHW, RandAugmentOperation operation, double magnitude, float fill = 0.5f)
    {
        var all = ImageGroup.Of(pixels_NCHW.shape[0], _ => true);
        return Moves(operation)
            ? AffineMap.Warp(
                pixels_NCHW,
                Array.ConvertAll(all.Members, _ => Map(operation, magnitude, pixels_NCHW)),
                Filled([1, 1, 1, 1], fill, pixels_NCHW.dtype, pixels_NCHW.device))
            : Change(pixels_NCHW, operation, number => all.Numbers(_ => number(magnitude), pixels_NCHW));
    }

    private static bool Moves(RandAugmentOperation operation) => operation is RandAugmentOperation.Rotate
        or RandAugmentOperation.ShearX or RandAugmentOperation.ShearY or RandAugmentOperation.TranslateX or RandAugmentOperation.TranslateY;

    private static AffineMap Map(RandAugmentOperation operation, double magnitude, Tensor pixels_NCHW)
    {
        var (height, width) = (pixels_NCHW.shape[2], pixels_NCHW.shape[3]);
        return operation switch
        {
            RandAugmentOperation.Rotate => AffineMap.Rotation(30 * magnitude),
            RandAugmentOperation.ShearX => AffineMap.ShearX(0.3 * magnitude, height),
            RandAugmentOperation.ShearY => AffineMap.ShearY(0.3 * magnitude, width),
            RandAugmentOperation.TranslateX => AffineMap.Translation(0.45 * magnitude * width, 0),
            RandAugmentOperation.TranslateY => AffineMap.Translation(0, 0.45 * magnitude * height),
            _ => throw new ArgumentOutOfRangeException(nameof(operation), operation, null),
        };
    }

    // `numbers` makes a number for each image out of its magnitude.
    private static Tensor Change(Tensor pixels_NCHW, RandAugmentOperation operation, Func<Func<double, double>, Tensor> numbers) =>
        operation switch
        {
            RandAugmentOperation.Identity => pixels_NCHW.alias(),
            RandAugmentOperation.AutoContrast => PixelOperations.AutoContrast(pixels_NCHW),
            RandAugmentOperation.Equalize => PixelOperations.Equalize(pixels_NCHW),
            RandAugmentOperation.Solarize => PixelOperations.Solarize(
                pixels_NCHW, numbers(magnitude => (1 - Math.Abs(magnitude)) * 256 / 255)),
            RandAugmentOperation.Posterize => PixelOperations.Posterize(
                pixels_NCHW, numbers(magnitude => Math.Pow(2, Math.Round(4 * Math.Abs(magnitude))))),
            RandAugmentOperation.Color => PixelOperations.Saturation(pixels_NCHW, numbers(Enhancement)),
            RandAugmentOperation.Contrast => PixelOperations.Contrast(pixels_NCHW, numbers(Enhancement)),
            RandAugmentOperation.Brightness => PixelOperations.Brightness(pixels_NCHW, numbers(Enhancement)),
            RandAugmentOperation.Sharpness => PixelOperations.Sharpness(pixels_NCHW, numbers(Enhancement)),
            _ => throw new ArgumentOutOfRangeException(nameof(operation), operation, null),
        };

    private static double Enhancement(double magnitude) => Math.Max(0.1, 1 + (0.9 * magnitude));

    private (RandAugmentOperation[,] Operations_NS, double[,] Magnitudes_NS) Draw(int images, Generator generator)
    {
        var uniform_NR = RandomNumbers.Uniform(images, 2 * Operations, generator);
        var normal_NS = MagnitudeDeviation > 0 ? RandomNumbers.Normal(images, Operations, generator) : null;
        var (operations_NS, magnitudes_NS) = (new RandAugmentOperation[images, Operations], new double[images, Operations]);
        for (var n = 0; n < images; n++)
        {
            for (var turn = 0; turn < Operations; turn++)
            {
                var drawn = Magnitude + (normal_NS is null ? 0 : MagnitudeDeviation * normal_NS[n, turn]);
                var magnitude = Math.Clamp(drawn, 0, Magnitude > Scale ? Most : Scale) / Scale;
                operations_NS[n, turn] = All[(int)(uniform_NR[n, 2 * turn] * All.Length)];
                magnitudes_NS[n, turn] = uniform_NR[n, (2 * turn) + 1] < 0.5 ? magnitude : -magnitude;
            }
        }
        return (operations_NS, magnitudes_NS);
    }
}

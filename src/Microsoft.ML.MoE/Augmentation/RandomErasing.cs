// Random erasing (arXiv 1708.04896, algorithm 1): a rectangle of an image is wiped out.
//
// Axes: N = images, C = channels, H = height, W = width, M = images that lose something.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Wipes a rectangle out of some images of a batch. For images that are already normalised, as the last of all changes. Defaults are
/// timm's.
/// </summary>
internal sealed record RandomErasing
{
    // A rectangle that does not fit into the image is drawn anew, and after this many the image stays whole: timm's limit.
    private const int Attempts = 10;

    /// <summary>Probability, 0 to 1, that an image loses something. Default 0.25; the paper has 0.5.</summary>
    public double Probability { get; init; } = 0.25;

    /// <summary>Smallest area of the rectangle, as a part of the image's, above 0 to 1. Default 0.02.</summary>
    public double MinArea { get; init; } = 0.02;

    /// <summary>
    /// Largest area of the rectangle, as a part of the image's, from <see cref="MinArea"/> to 1. Default 1/3; the paper has 0.4.
    /// </summary>
    public double MaxArea { get; init; } = 1.0 / 3;

    /// <summary>
    /// Smallest ratio of height to width, above 0 to 1; the largest is 1 over it, and their logarithm is uniform. Default 0.3.
    /// </summary>
    public double MinAspect { get; init; } = 0.3;

    /// <summary>What comes in place of the pixels. Default: the mean colour.</summary>
    public ErasingFill Fill { get; init; }

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        OptionChecks.Between(0, 1, Probability, nameof(Probability));
        OptionChecks.Above(0, MinArea, nameof(MinArea));
        OptionChecks.Between(MinArea, 1, MaxArea, nameof(MaxArea));
        OptionChecks.Above(0, MinAspect, nameof(MinAspect));
        OptionChecks.Between(0, 1, MinAspect, nameof(MinAspect));
        OptionChecks.Defined(Fill, nameof(Fill));
    }

    /// <summary>Changes a batch.</summary>
    /// <param name="images_NCHW">Normalised images, floating point (N, C, H, W).</param>
    /// <param name="generator">Where the random numbers come from: a generator of the CPU, so that the same seed does the same to the
    /// images on every device.</param>
    /// <returns>Images of the same shape and type: the caller's to dispose, also where nothing changes and it shares the memory of the
    /// input.</returns>
    /// <exception cref="ArgumentException">The images have another number of axes, or an option is out of range.</exception>
    public Tensor Apply(Tensor images_NCHW, Generator generator)
    {
        Validate();
        ImageShapes.Require(images_NCHW);
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var (device, height, width) = (images_NCHW.device, images_NCHW.shape[2], images_NCHW.shape[3]);
        var boxes_N = Draw(images_NCHW.shape[0], (int)height, (int)width, generator);
        var chosen_M = Enumerable.Range(0, boxes_N.Length).Where(n => boxes_N[n].Area > 0).ToArray();
        if (chosen_M.Length == 0)
            return images_NCHW.alias().MoveToOuterDisposeScope();
        if (Fill == ErasingFill.Mean)
            return images_NCHW.MaskedFill(ImageBox.Mask(boxes_N, height, width, device), 0).MoveToOuterDisposeScope();

        var ids_M = tensor(chosen_M, int64).to(device);
        var mask_M1HW = ImageBox.Mask([.. chosen_M.Select(n => boxes_N[n])], height, width, device);
        var noise_MCHW = randn([chosen_M.Length, images_NCHW.shape[1], height, width], float32, CPU, generator: generator)
            .to(device)
            .to_type(images_NCHW.dtype);
        return images_NCHW.index_copy(0, ids_M, where(mask_M1HW, noise_MCHW, images_NCHW.index_select(0, ids_M))).MoveToOuterDisposeScope();
    }

    // One rectangle an image, empty where the image stays as it is.
    private ImageBox[] Draw(long images, int height, int width, Generator generator)
    {
        var uniform_NR = RandomNumbers.Uniform(images, 1 + (4 * Attempts), generator);
        var boxes_N = new ImageBox[images];
        for (var n = 0; n < images; n++)
        {
            if (uniform_NR[n, 0] >= Probability)
                continue;
            for (var first = 1; first <= 4 * Attempts && boxes_N[n].Area == 0; first += 4)
            {
                var area = (MinArea + (uniform_NR[n, first] * (MaxArea - MinArea))) * height * width;
                var aspect = Math.Exp((1 - (2 * uniform_NR[n, first + 1])) * Math.Log(MinAspect));
                var (rows, columns) = ((int)Math.Round(Math.Sqrt(area * aspect)), (int)Math.Round(Math.Sqrt(area / aspect)));
                if (rows > height || columns > width)
                    continue;
                var (top, left) = (
                    (int)(uniform_NR[n, first + 2] * (height - rows + 1)), (int)(uniform_NR[n, first + 3] * (width - columns + 1)));
                boxes_N[n] = new(top, top + rows, left, left + columns);
            }
        }
        return boxes_N;
    }
}

// Random resized crop: a part of an image, of random area and shape, is enlarged to the whole (arXiv 1409.4842, section 6; as torchvision
// defines it).
//
// Axes: N = images, C = channels, H = height, W = width.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Cuts a box out of each image and enlarges it to the image's size, with bilinear interpolation within the box. A box is never larger than
/// its image, so that nothing is made smaller and there is no antialiasing to do. For images of any range.
/// </summary>
internal sealed record RandomResizedCrop
{
    // A box that does not fit into the image is drawn anew, and after this many it is the largest in the middle: torchvision's limit.
    private const int Attempts = 10;

    /// <summary>Smallest area of the box, as a part of the image's, above 0 to 1. Default 0.08.</summary>
    public double MinScale { get; init; } = 0.08;

    /// <summary>Largest area of the box, as a part of the image's, from <see cref="MinScale"/> to 1. Default 1.</summary>
    public double MaxScale { get; init; } = 1;

    /// <summary>
    /// Smallest ratio of width to height, above 0 to 1; the largest is 1 over it, and their logarithm is uniform. 1 where the box keeps the
    /// shape of a square. Default 3/4.
    /// </summary>
    public double MinAspect { get; init; } = 0.75;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        OptionChecks.Above(0, MinScale, nameof(MinScale));
        OptionChecks.Between(0, 1, MinScale, nameof(MinScale));
        OptionChecks.Between(MinScale, 1, MaxScale, nameof(MaxScale));
        OptionChecks.Above(0, MinAspect, nameof(MinAspect));
        OptionChecks.Between(0, 1, MinAspect, nameof(MinAspect));
    }

    /// <summary>Changes a batch.</summary>
    /// <param name="images_NCHW">Images, floating point (N, C, H, W).</param>
    /// <param name="generator">Where the random numbers come from: a generator of the CPU, so that the same seed does the same to the
    /// images on every device.</param>
    /// <returns>Images of the same shape and type; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">The images have another number of axes, or an option is out of range.</exception>
    public Tensor Apply(Tensor images_NCHW, Generator generator)
    {
        Validate();
        ImageShapes.Require(images_NCHW);
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var (images, height, width) = (images_NCHW.shape[0], images_NCHW.shape[2], images_NCHW.shape[3]);
        var boxes_N = Draw(images, (int)height, (int)width, generator);

        var rows_NH = Positions(boxes_N, box => (box.Top, box.Bottom), height, images_NCHW);
        var columns_NW = Positions(boxes_N, box => (box.Left, box.Right), width, images_NCHW);
        var grid_NHW2 = stack(
            [columns_NW.unsqueeze(1).expand(images, height, width), rows_NH.unsqueeze(2).expand(images, height, width)], -1);
        var cropped_NCHW = nn.functional.grid_sample(
            images_NCHW, grid_NHW2, GridSampleMode.Bilinear, GridSamplePaddingMode.Border, align_corners: false);
        return cropped_NCHW.MoveToOuterDisposeScope();
    }

    // Where along one side each new pixel lies in the old image, as libtorch counts, from -1 to 1 from border to border. Middles of the
    // box's outermost pixels are the furthest, so that nothing outside the box comes in.
    private static Tensor Positions(ImageBox[] boxes_N, Func<ImageBox, (int First, int End)> side, long length, Tensor images_NCHW)
    {
        var first_N1 = Column(edges => edges.First);
        var size_N1 = Column(edges => edges.End - edges.First);
        var pixel_L = Range(length, images_NCHW.dtype, images_NCHW.device).Plus(0.5).DividedBy(length);
        var middle_NL = (size_N1 * pixel_L).Clamp(min: 0.5).minimum(size_N1.Minus(0.5)).Plus(first_N1);
        return middle_NL.Times(2.0 / length).Minus(1);

        Tensor Column(Func<(int First, int End), double> number) =>
            tensor(Array.ConvertAll(boxes_N, box => number(side(box))), [boxes_N.Length, 1], images_NCHW.dtype).to(images_NCHW.device);
    }

    private ImageBox[] Draw(long images, int height, int width, Generator generator)
    {
        var uniform_NR = RandomNumbers.Uniform(images, 4 * Attempts, generator);
        var boxes_N = new ImageBox[images];
        for (var n = 0; n < images; n++)
        {
            var image = n;
            boxes_N[n] = Box(height, width, number => uniform_NR[image, number]);
        }
        return boxes_N;
    }

    /// <summary>The box of one image.</summary>
    /// <param name="height">Its height in pixels.</param>
    /// <param name="width">Its width in pixels.</param>
    /// <param name="random">Where the random numbers come from.</param>
    internal ImageBox Draw(int height, int width, Random random)
    {
        var uniform_R = new float[4 * Attempts];
        foreach (ref var number in uniform_R.AsSpan())
            number = random.NextSingle();
        return Box(height, width, number => uniform_R[number]);
    }

    private ImageBox Box(int height, int width, Func<int, float> uniform_R)
    {
        for (var first = 0; first < 4 * Attempts; first += 4)
        {
            var area = (MinScale + (uniform_R(first) * (MaxScale - MinScale))) * height * width;
            var aspect = Math.Exp((1 - (2 * uniform_R(first + 1))) * Math.Log(MinAspect));
            var (rows, columns) = ((int)Math.Round(Math.Sqrt(area / aspect)), (int)Math.Round(Math.Sqrt(area * aspect)));
            if (rows < 1 || columns < 1 || rows > height || columns > width)
                continue;
            var (top, left) = (
                (int)(uniform_R(first + 2) * (height - rows + 1)), (int)(uniform_R(first + 3) * (width - columns + 1)));
            return new(top, top + rows, left, left + columns);
        }
        return Middle(height, width);
    }

    private ImageBox Middle(int height, int width)
    {
        var rows = Math.Clamp((int)Math.Round(width / MinAspect), 1, height);
        var columns = Math.Clamp((int)Math.Round(height / MinAspect), 1, width);
        var (top, left) = ((height - rows) / 2, (width - columns) / 2);
        return new(top, top + rows, left, left + columns);
    }
}

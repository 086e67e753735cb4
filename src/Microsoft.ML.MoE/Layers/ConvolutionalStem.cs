using System.Numerics;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Convolutions that make tokens of an image in place of a projection of patches: "Early convolutions help Transformers see better" (arXiv
/// 2106.14881) and the Compact Convolutional Transformer (arXiv 2104.05704). Each is 3×3 without bias, halves both sides of the image,
/// rounded up, and is followed by batch normalisation and ReLU; there are as many as it takes to come from the image to a token for every
/// patch. What they make on the way has twice as many channels with every halving, and the model's width in the end.
/// </summary>
public sealed record ConvolutionalStem
{
    // Fewer do not fill a vector register.
    private const int FewestChannels = 8;

    /// <summary>The defaults.</summary>
    public ConvolutionalStem()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
    public ConvolutionalStem(ConvolutionalStem original) => (FirstChannels, Halving) = (original.FirstChannels, original.Halving);

    /// <summary>
    /// Channels after the first convolution where there are several, at least 1; they double with every further one, up to the model's
    /// width. Null (default): the width, halved for every further convolution, and 8 at least.
    /// </summary>
    public int? FirstChannels { get; init; }

    /// <summary>How a convolution halves the sides of an image. Default: maximum of every 2×2.</summary>
    public StemHalving Halving { get; init; }

    /// <summary>Checks the options.</summary>
    /// <param name="name">What they are called.</param>
    /// <param name="patchSize">Pixels along a token's side.</param>
    /// <param name="height">Height of an image in pixels.</param>
    /// <param name="width">Width of an image in pixels.</param>
    internal void Validate(string name, int patchSize, int height, int width)
    {
        if (FirstChannels < 1)
            throw new ArgumentException($"{name}.{nameof(FirstChannels)} is {FirstChannels}; it must be at least 1.");
        if (!Enum.IsDefined(Halving))
            throw new ArgumentException(
                $"{name}.{nameof(Halving)} is {Halving}; it must be one of {string.Join(", ", Enum.GetNames<StemHalving>())}.");
        if (!BitOperations.IsPow2(patchSize))
            throw new ArgumentException(
                $"PatchSize is {patchSize} and {name} is set; convolutions halve the image, so that it must be a power of 2.");
        if (height < patchSize || width < patchSize)
            throw new ArgumentException(
                $"The image is {width}×{height} pixels, PatchSize is {patchSize} and {name} is set; the convolutions would shrink it to "
                    + "less than a token: both sides must be at least PatchSize.");
    }

    /// <summary>The convolutions for images of a number of channels, from the image on; one that does not halve for patches of 1.</summary>
    internal IReadOnlyList<StemConvolution> Convolutions(int channels, int patchSize, int width)
    {
        var halvings = BitOperations.Log2((uint)patchSize);
        var count = Math.Max(1, halvings);
        var convolutions = new StemConvolution[count];
        for (var i = 0; i < count; i++)
        {
            var further = count - 1 - i;
            var outputs = further == 0 ? width
                : FirstChannels is { } first ? (int)Math.Min(width, (long)first << i)
                : Math.Min(width, Math.Max(FewestChannels, width >> further));
            convolutions[i] = new(channels, outputs, halvings > 0);
            channels = outputs;
        }
        return convolutions;
    }

    /// <summary>Parameters: weights, and scale and shift of every normalisation.</summary>
    internal long Parameters(int channels, int patchSize, int width) =>
        Convolutions(channels, patchSize, width).Sum(one => checked(one.Weights + (2L * one.Outputs)));

    /// <summary>Multiply-adds of an image, those with the zeros around it included.</summary>
    internal long Macs(int channels, int patchSize, int width, int imageHeight, int imageWidth)
    {
        var (rows, columns, macs) = (imageHeight, imageWidth, 0L);
        foreach (var one in Convolutions(channels, patchSize, width))
        {
            var before = (long)rows * columns;
            if (one.Halves)
                (rows, columns) = ((rows + 1) / 2, (columns + 1) / 2);
            checked
            {
                macs += one.Weights * (Halving == StemHalving.Stride ? (long)rows * columns : before);
            }
        }
        return macs;
    }
}

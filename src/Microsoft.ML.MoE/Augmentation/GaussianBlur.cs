// Gaussian blur of random width, as contrastive learning uses it (arXiv 2002.05709, appendix A).
//
// Axes: N = images, M = images that are blurred, C = channels, H = height, W = width, L = pixels of a row or column.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Blurs some images of a batch, each by a Gaussian of its own. At the border, weights of pixels outside are left out and the others sum to
/// 1, so that one colour stays that colour. For images of any range.
/// </summary>
internal sealed record GaussianBlur
{
    /// <summary>Probability, 0 to 1, that an image is blurred. Default 1.</summary>
    public double Probability { get; init; } = 1;

    /// <summary>Smallest standard deviation of the Gaussian in pixels, above 0. Default 0.1, which changes next to nothing.</summary>
    public double MinSigma { get; init; } = 0.1;

    /// <summary>
    /// Largest standard deviation of the Gaussian in pixels, at least <see cref="MinSigma"/>. Default 2, for images of 224 pixels; smaller
    /// ones need less.
    /// </summary>
    public double MaxSigma { get; init; } = 2;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        OptionChecks.Between(0, 1, Probability, nameof(Probability));
        OptionChecks.Above(0, MinSigma, nameof(MinSigma));
        OptionChecks.AtLeast(MinSigma, MaxSigma, nameof(MaxSigma));
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
        var images = images_NCHW.shape[0];
        var uniform_N2 = RandomNumbers.Uniform(images, 2, generator);
        var group = ImageGroup.Of(images, n => uniform_N2[n, 0] < Probability);
        var result_NCHW = images_NCHW.clone();
        group.Change(result_NCHW, images_MCHW =>
            Blur(images_MCHW, group.Numbers(n => MinSigma + (uniform_N2[n, 1] * (MaxSigma - MinSigma)), images_MCHW).flatten(1)));
        return result_NCHW.MoveToOuterDisposeScope();
    }

    // Two products of matrices an image, one along each axis: a Gaussian is the product of its rows and columns.
    private static Tensor Blur(Tensor images_MCHW, Tensor sigma_M1)
    {
        var (images, channels, height, width) = (images_MCHW.shape[0], images_MCHW.shape[1], images_MCHW.shape[2], images_MCHW.shape[3]);
        var rows_MCWH = images_MCHW
            .reshape(images, channels * height, width)
            .bmm(Weights(sigma_M1, width))
            .view(images, channels, height, width)
            .transpose(2, 3);
        return rows_MCWH
            .reshape(images, channels * width, height)
            .bmm(Weights(sigma_M1, height))
            .view(images, channels, width, height)
            .transpose(2, 3);
    }

    // What each old pixel of a line gives to each new one, (M, L old, L new).
    private static Tensor Weights(Tensor sigma_M1, long length)
    {
        using var scope = NewDisposeScope();
        var place_L = Range(length, sigma_M1.dtype, sigma_M1.device);
        var distance_LL = place_L.unsqueeze(1) - place_L;
        var weight_MLL = (distance_LL / sigma_M1.unsqueeze(2)).Squared().TimesInPlace(-0.5).exp_();
        return (weight_MLL / weight_MLL.sum([1], keepdim: true)).MoveToOuterDisposeScope();
    }
}

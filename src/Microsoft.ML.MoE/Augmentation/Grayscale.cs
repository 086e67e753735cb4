// Axes: N = images, C = channels, H = height, W = width.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Takes the colours from some images of a batch, which keep three equal channels (ITU-R 601-2). Without three channels nothing changes.
/// For pixels from 0 to 1.
/// </summary>
internal sealed record Grayscale
{
    /// <summary>Probability, 0 to 1, that an image becomes grey. Default 0.2.</summary>
    public double Probability { get; init; } = 0.2;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate() => OptionChecks.Between(0, 1, Probability, nameof(Probability));

    /// <summary>Changes a batch.</summary>
    /// <param name="pixels_NCHW">Pixels from 0 to 1, floating point (N, C, H, W).</param>
    /// <param name="generator">Where the random numbers come from: a generator of the CPU, so that the same seed does the same to the
    /// images on every device.</param>
    /// <returns>Pixels from 0 to 1 of the same shape and type; the caller's to dispose.</returns>
    /// <exception cref="ArgumentException">The images have another number of axes, or an option is out of range.</exception>
    public Tensor Apply(Tensor pixels_NCHW, Generator generator)
    {
        Validate();
        ImageShapes.Require(pixels_NCHW);
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var images = pixels_NCHW.shape[0];
        var uniform_N1 = RandomNumbers.Uniform(images, 1, generator);
        var result_NCHW = pixels_NCHW.clone();
        if (PixelOperations.HaveColour(pixels_NCHW))
            ImageGroup
                .Of(images, n => uniform_N1[n, 0] < Probability)
                .Change(result_NCHW, pixels_MCHW => PixelOperations.Luminance(pixels_MCHW).expand_as(pixels_MCHW));
        return result_NCHW.MoveToOuterDisposeScope();
    }
}

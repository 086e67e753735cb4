// Solarisation: bright pixels are inverted (arXiv 2006.07733, appendix B).
//
// Axes: N = images, C = channels, H = height, W = width.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>Inverts the bright pixels of some images of a batch. For pixels from 0 to 1.</summary>
internal sealed record Solarize
{
    /// <summary>Probability, 0 to 1, that an image is changed. Default 0.2.</summary>
    public double Probability { get; init; } = 0.2;

    /// <summary>The least pixel that is inverted, 0 to 1. Default 0.5.</summary>
    public double Threshold { get; init; } = 0.5;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        OptionChecks.Between(0, 1, Probability, nameof(Probability));
        OptionChecks.Between(0, 1, Threshold, nameof(Threshold));
    }

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
        var group = ImageGroup.Of(images, n => uniform_N1[n, 0] < Probability);
        var result_NCHW = pixels_NCHW.clone();
        group.Change(result_NCHW, pixels_MCHW => PixelOperations.Solarize(pixels_MCHW, group.Numbers(_ => Threshold, pixels_MCHW)));
        return result_NCHW.MoveToOuterDisposeScope();
    }
}

// Colour jitter: brightness, contrast, saturation and hue at random, in a random order. As torchvision defines it, but for a random order
// for each image.
//
// Axes: N = images, C = channels, H = height, W = width, R = random numbers an image.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Changes brightness, contrast, saturation and hue of images, each image by factors and in an order of its own. For pixels from 0 to 1.
/// Without three channels, saturation and hue change nothing.
/// </summary>
internal sealed record ColorJitter
{
    private static readonly int[] Operations = [0, 1, 2, 3];   // brightness, contrast, saturation, hue

    /// <summary>Probability, 0 to 1, that an image is changed. Default 1.</summary>
    public double Probability { get; init; } = 1;

    /// <summary>Brightness is multiplied by a number between 1 − this (at least 0) and 1 + this. Default 0.</summary>
    public double Brightness { get; init; }

    /// <summary>
    /// Distances from the image's mean brightness are multiplied by a number between 1 − this (at least 0) and 1 + this. Default 0.
    /// </summary>
    public double Contrast { get; init; }

    /// <summary>Distances from grey are multiplied by a number between 1 − this (at least 0) and 1 + this. Default 0.</summary>
    public double Saturation { get; init; }

    /// <summary>The colour circle is turned by up to this part of it either way, 0 to 0.5. Default 0.</summary>
    public double Hue { get; init; }

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        OptionChecks.Between(0, 1, Probability, nameof(Probability));
        OptionChecks.AtLeast(0, Brightness, nameof(Brightness));
        OptionChecks.AtLeast(0, Contrast, nameof(Contrast));
        OptionChecks.AtLeast(0, Saturation, nameof(Saturation));
        OptionChecks.Between(0, 0.5, Hue, nameof(Hue));
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
        // Whether, how much of each, and when each.
        var uniform_NR = RandomNumbers.Uniform(images, 1 + (2 * Operations.Length), generator);
        var orders_N = Enumerable
            .Range(0, (int)images)
            .Select(n => Operations.OrderBy(operation => uniform_NR[n, 1 + Operations.Length + operation]).ToArray())
            .ToArray();
        double[] strengths = [Brightness, Contrast, Saturation, Hue];

        var result_NCHW = pixels_NCHW.clone();
        for (var turn = 0; turn < Operations.Length; turn++)
        {
            foreach (var operation in Operations)
            {
                if (strengths[operation] == 0)
                    continue;
                var group = ImageGroup.Of(images, n => uniform_NR[n, 0] < Probability && orders_N[n][turn] == operation);
                group.Change(result_NCHW, members_MCHW =>
                    Change(
                        members_MCHW,
                        operation,
                        group.Numbers(n => Factor(operation, strengths[operation], uniform_NR[n, 1 + operation]), members_MCHW)));
            }
        }
        return result_NCHW.MoveToOuterDisposeScope();
    }

    private static double Factor(int operation, double strength, double uniform)
    {
        if (operation == 3)
            return strength * ((2 * uniform) - 1);
        var least = Math.Max(0, 1 - strength);
        return least + (uniform * (1 + strength - least));
    }

    private static Tensor Change(Tensor pixels_NCHW, int operation, Tensor factor_N111) => operation switch
    {
        0 => PixelOperations.Brightness(pixels_NCHW, factor_N111),
        1 => PixelOperations.Contrast(pixels_NCHW, factor_N111),
        2 => PixelOperations.Saturation(pixels_NCHW, factor_N111),
        _ => PixelOperations.Hue(pixels_NCHW, factor_N111),
    };
}

// Mixup (arXiv 1710.09412) and CutMix (arXiv 1905.04899): an image becomes a mixture of itself and another one of its batch, and so does
// its target.
//
//     Mixup:  x = λ·x₁ + (1 − λ)·x₂                              λ ~ Beta(α, α)
//     CutMix: x = x₁, but x₂ in a box of √(1 − λ) of the sides   then λ = the part of x₁ that is left, since the box ends at the border
//     both:   t = λ·t₁ + (1 − λ)·t₂
//
// Axes: N = images, C = channels or classes, H = height, W = width.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Mixup and CutMix of a batch with itself in another order. Each image has its own λ and, where both are on, its own choice between them
/// (timm calls that the mode "elem").
/// </summary>
internal sealed record ImageMixing
{
    /// <summary>No mixing.</summary>
    public static ImageMixing None { get; } = new();

    /// <summary>
    /// α of Mixup, at least 0: near 0 one of both images prevails, from 1 up all mixtures are common. Default 0: no Mixup. Common: 0.2 to
    /// 0.8.
    /// </summary>
    public double MixupAlpha { get; init; }

    /// <summary>α of CutMix, at least 0. Default 0: no CutMix. Common: 1, boxes of every size alike.</summary>
    public double CutMixAlpha { get; init; }

    /// <summary>Probability, 0 to 1, that an image is mixed at all. Default 1.</summary>
    public double Probability { get; init; } = 1;

    /// <summary>Probability, 0 to 1, of CutMix rather than Mixup where both are on. Default 0.5.</summary>
    public double SwitchProbability { get; init; } = 0.5;

    /// <summary>Whether any image is ever mixed.</summary>
    internal bool IsOn => (MixupAlpha > 0 || CutMixAlpha > 0) && Probability > 0;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        OptionChecks.AtLeast(0, MixupAlpha, nameof(MixupAlpha));
        OptionChecks.AtLeast(0, CutMixAlpha, nameof(CutMixAlpha));
        OptionChecks.Between(0, 1, Probability, nameof(Probability));
        OptionChecks.Between(0, 1, SwitchProbability, nameof(SwitchProbability));
    }

    /// <summary>Mixes a batch.</summary>
    /// <param name="images_NCHW">Images, floating point (N, C, H, W), normalised or not.</param>
    /// <param name="labels_N">The class of each image from 0, int64 (N), on the same device.</param>
    /// <param name="classes">Number of classes.</param>
    /// <param name="generator">Where the random numbers come from: a generator of the CPU, so that the same seed does the same to the
    /// images on every device.</param>
    /// <param name="weights_N">What each image weighs, float32 (N): its targets are multiplied by it before they are mixed; null for
    /// 1.</param>
    /// <exception cref="ArgumentException">The images or labels have another shape, or an option is out of range.</exception>
    public MixedImages Apply(Tensor images_NCHW, Tensor labels_N, int classes, Generator generator, Tensor? weights_N = null)
    {
        Validate();
        ImageShapes.Require(images_NCHW);
        if (labels_N.dim() != 1 || labels_N.dtype != ScalarType.Int64 || labels_N.shape[0] != images_NCHW.shape[0])
            throw new ArgumentException(
                $"The labels are {labels_N.dtype} ({string.Join(", ", labels_N.shape)}); Int64 ({images_NCHW.shape[0]}) is wanted, one "
                    + "label an image.",
                nameof(labels_N));
        OptionChecks.AtLeast(1, classes, nameof(classes));

        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var targets_NC = nn.functional.one_hot(labels_N, classes).to_type(float32);
        if (weights_N is not null)
            targets_NC = targets_NC * weights_N.unsqueeze(1);
        if (!IsOn || labels_N.shape[0] == 1)   // a batch of one has nothing to mix with
            return new(images_NCHW.alias().MoveToOuterDisposeScope(), targets_NC.MoveToOuterDisposeScope());

        var (device, images, height, width) = (images_NCHW.device, images_NCHW.shape[0], images_NCHW.shape[2], images_NCHW.shape[3]);
        var (kept_N, outside_N, boxes_N) = Draw(images, (int)height, (int)width, generator);
        var others_N = randperm(images, int64, CPU, generator: generator).to(device);

        // One formula for both: the weight of an image's own pixels is λ all over for Mixup, and 1 but for 0 in the box for CutMix.
        var weight_N1HW = tensor(outside_N, [images, 1, 1, 1], images_NCHW.dtype).to(device);
        if (CutMixAlpha > 0)
            weight_N1HW = weight_N1HW * ImageBox.Mask(boxes_N, height, width, device).logical_not();
        var kept_N1 = tensor(kept_N, [images, 1], float32).to(device);
        return new(
            images_NCHW.index_select(0, others_N).lerp(images_NCHW, weight_N1HW).MoveToOuterDisposeScope(),
            targets_NC.index_select(0, others_N).lerp(targets_NC, kept_N1).MoveToOuterDisposeScope());
    }

    // For each image: λ, the weight of its own pixels outside the box, and the box, which is empty for Mixup.
    private (float[] Kept_N, float[] Outside_N, ImageBox[] Boxes_N) Draw(long images, int height, int width, Generator generator)
    {
        var mixup_N = MixupAlpha > 0 ? RandomNumbers.Beta(MixupAlpha, images, generator) : [];
        var cutMix_N = CutMixAlpha > 0 ? RandomNumbers.Beta(CutMixAlpha, images, generator) : [];
        var uniform_N4 = RandomNumbers.Uniform(images, 4, generator);
        var (kept_N, outside_N, boxes_N) = (new float[images], new float[images], new ImageBox[images]);
        for (var n = 0; n < images; n++)
        {
            (kept_N[n], outside_N[n]) = (1, 1);
            if (uniform_N4[n, 0] >= Probability)
                continue;
            if (MixupAlpha > 0 && (CutMixAlpha == 0 || uniform_N4[n, 1] >= SwitchProbability))
            {
                kept_N[n] = outside_N[n] = (float)mixup_N[n];
                continue;
            }

            var side = Math.Sqrt(1 - cutMix_N[n]);
            var (top, bottom) = Span(height, side, uniform_N4[n, 2]);
            var (left, right) = Span(width, side, uniform_N4[n, 3]);
            boxes_N[n] = new(top, bottom, left, right);
            kept_N[n] = 1 - ((float)boxes_N[n].Area / ((float)height * width));
        }
        return (kept_N, outside_N, boxes_N);
    }

    // A part of an image's side about a random pixel, as far as it lies in the image. Rounded down as in the authors' code.
    private static (int First, int End) Span(int length, double part, float position)
    {
        var half = (int)(length * part) / 2;
        var centre = (int)(position * length);
        return (Math.Max(centre - half, 0), Math.Min(centre + half, length));
    }
}

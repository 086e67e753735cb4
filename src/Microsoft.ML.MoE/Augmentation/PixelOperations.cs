// Operations on pixels from 0 to 1, as torchvision and the Python imaging library define them; where those compute with bytes, 1 is 255.
//
// Axes: N = images, C = channels, H = height, W = width, P = pixels of a plane, L = 256 levels.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Operations on a batch of pixels, (N, C, H, W), with a number for each image, (N, 1, 1, 1). Results lie between 0 and 1 and belong to the
/// caller's dispose scope.
/// </summary>
internal static class PixelOperations
{
    private const int Levels = 256;
    private const float White = Levels - 1;

    /// <summary>Whether there are colours: three channels, red, green and blue.</summary>
    public static bool HaveColour(Tensor pixels_NCHW) => pixels_NCHW.shape[1] == 3;

    /// <summary>
    /// Brightness of each pixel, (N, 1, H, W): that of its colour (ITU-R 601-2), or without colour the mean of the channels.
    /// </summary>
    public static Tensor Luminance(Tensor pixels_NCHW)
    {
        if (!HaveColour(pixels_NCHW))
            return pixels_NCHW.mean([1], keepdim: true);
        using var scope = NewDisposeScope();
        var (red_NHW, green_NHW, blue_NHW) = (pixels_NCHW.select(1, 0), pixels_NCHW.select(1, 1), pixels_NCHW.select(1, 2));
        return red_NHW.Times(0.299).PlusInPlace(green_NHW, 0.587).PlusInPlace(blue_NHW, 0.114).unsqueeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>Pixels times the factor: 0 is black, 1 the image itself.</summary>
    public static Tensor Brightness(Tensor pixels_NCHW, Tensor factor_N111) => (pixels_NCHW * factor_N111).ClampInPlace(0, 1);

    /// <summary>Distance from the image's mean brightness times the factor: 0 is one grey, 1 the image itself.</summary>
    public static Tensor Contrast(Tensor pixels_NCHW, Tensor factor_N111)
    {
        using var scope = NewDisposeScope();
        return Blend(Luminance(pixels_NCHW).mean([1, 2, 3], keepdim: true), pixels_NCHW, factor_N111).MoveToOuterDisposeScope();
    }

    /// <summary>Distance from grey times the factor: 0 is a grey image, 1 the image itself. Without colour the image itself.</summary>
    public static Tensor Saturation(Tensor pixels_NCHW, Tensor factor_N111)
    {
        if (!HaveColour(pixels_NCHW))
            return pixels_NCHW.alias();
        using var scope = NewDisposeScope();
        return Blend(Luminance(pixels_NCHW), pixels_NCHW, factor_N111).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Distance from a smoothed image (3×3, the middle five times; the border stays) times the factor: 0 is the smooth one, 1 the image
    /// itself.
    /// </summary>
    public static Tensor Sharpness(Tensor pixels_NCHW, Tensor factor_N111)
    {
        var (height, width) = (pixels_NCHW.shape[2], pixels_NCHW.shape[3]);
        if (height < 3 || width < 3)
            return pixels_NCHW.alias();   // all border
        using var scope = NewDisposeScope();
        var threes_NCHW = pixels_NCHW
            .narrow(3, 0, width - 2)
            .Plus(pixels_NCHW.narrow(3, 1, width - 2))
            .Plus(pixels_NCHW.narrow(3, 2, width - 2));
        var nines_NCHW = threes_NCHW
            .narrow(2, 0, height - 2)
            .Plus(threes_NCHW.narrow(2, 1, height - 2))
            .Plus(threes_NCHW.narrow(2, 2, height - 2));
        var smooth_NCHW = pixels_NCHW.clone();
        var inner_NCHW = smooth_NCHW.narrow(2, 1, height - 2).narrow(3, 1, width - 2);
        inner_NCHW.TimesInPlace(4.0 / 13).PlusInPlace(nines_NCHW, 1.0 / 13);   // (4 · middle + sum of nine) / 13
        return Blend(smooth_NCHW, pixels_NCHW, factor_N111).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Turns the colour circle by a part of it: 1/3 makes red green. Brightest and darkest channel keep their values. Without colour the
    /// image itself.
    /// </summary>
    public static Tensor Hue(Tensor pixels_NCHW, Tensor turn_N111)
    {
        if (!HaveColour(pixels_NCHW))
            return pixels_NCHW.alias();
        using var scope = NewDisposeScope();
        var (red_N1HW, green_N1HW, blue_N1HW) = (pixels_NCHW.narrow(1, 0, 1), pixels_NCHW.narrow(1, 1, 1), pixels_NCHW.narrow(1, 2, 1));
        var most_N1HW = maximum(maximum(red_N1HW, green_N1HW), blue_N1HW);
        var chroma_N1HW = most_N1HW - minimum(minimum(red_N1HW, green_N1HW), blue_N1HW);
        var divisor_N1HW = chroma_N1HW.Clamp(min: 1e-12);   // a grey pixel has no hue: its differences are 0 too

        // The circle in sixths from red: about 0 where red is the most, 2 where green is, 4 where blue is.
        var sixths_N1HW = where(
            most_N1HW.eq(red_N1HW),
            (green_N1HW - blue_N1HW) / divisor_N1HW,
            where(
                most_N1HW.eq(green_N1HW),
                ((blue_N1HW - red_N1HW) / divisor_N1HW).PlusInPlace(2),
                ((red_N1HW - green_N1HW) / divisor_N1HW).PlusInPlace(4)));

        // Each channel is at its most within 1 sixth of its own place on the circle, 0, 2 or 4, and has fallen to its least 2 sixths from
        // it. One channel after the other, since libtorch would lay out the result of all three at once with the channels last, where
        // everything else is slow.
        var turned_N1HW = sixths_N1HW.PlusInPlace(turn_N111.Times(6));
        return cat([Channel(0), Channel(2), Channel(4)], 1).ClampInPlace(0, 1).MoveToOuterDisposeScope();

        Tensor Channel(double place)
        {
            var ahead_N1HW = turned_N1HW.Minus(place);
            var distance_N1HW = ahead_N1HW.PlusInPlace(ahead_N1HW.DividedBy(6).round_(), -6).abs_();
            return most_N1HW.PlusProduct(chroma_N1HW, distance_N1HW.PlusInPlace(-1).ClampInPlace(0, 1), -1);
        }
    }

    /// <summary>Inverts the pixels that are at least the threshold.</summary>
    public static Tensor Solarize(Tensor pixels_NCHW, Tensor threshold_N111)
    {
        using var scope = NewDisposeScope();
        return where(pixels_NCHW.ge(threshold_N111), pixels_NCHW.SubtractedFrom(1), pixels_NCHW).MoveToOuterDisposeScope();
    }

    /// <summary>Rounds 256 levels down to multiples of a step: 16 leaves the upper four bits.</summary>
    public static Tensor Posterize(Tensor pixels_NCHW, Tensor step_N111)
    {
        using var scope = NewDisposeScope();
        return pixels_NCHW.Times(White).round_().div_(step_N111).floor_().mul_(step_N111).DividedByInPlace(White).MoveToOuterDisposeScope();
    }

    /// <summary>Stretches each channel of an image to the whole range from 0 to 1. A channel of one level stays.</summary>
    public static Tensor AutoContrast(Tensor pixels_NCHW)
    {
        using var scope = NewDisposeScope();
        var least_NC11 = pixels_NCHW.amin([2, 3], keepdim: true);
        var range_NC11 = pixels_NCHW.amax([2, 3], keepdim: true) - least_NC11;
        var varies_NC11 = range_NC11.GreaterThan(0.5 / White);   // less than half a level is rounding, which must not become a pattern
        var shift_NC11 = where(varies_NC11, least_NC11, zeros_like(least_NC11));
        return pixels_NCHW
            .sub(shift_NC11)
            .div_(where(varies_NC11, range_NC11, ones_like(range_NC11)))
            .ClampInPlace(0, 1)
            .MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Spreads the levels of each channel of an image so that all are about equally frequent (histogram equalisation). A channel of too few
    /// pixels or levels stays.
    /// </summary>
    public static Tensor Equalize(Tensor pixels_NCHW)
    {
        using var scope = NewDisposeScope();
        var level_XP = pixels_NCHW.Times(White).round_().to_type(int64).flatten(2).flatten(0, 1);   // (N, C, H, W) -> (N·C, H·W)
        var count_XL = zeros([level_XP.shape[0], Levels], pixels_NCHW.dtype, pixels_NCHW.device)
            .scatter_add_(1, level_XP, ones([1, 1], pixels_NCHW.dtype, pixels_NCHW.device).expand_as(level_XP));

        // The pixels of a step of the new scale, but for those of the last level.
        var last_X1 = count_XL.gather(1, level_XP.amax([1], keepdim: true));
        var step_X1 = last_X1.SubtractedFrom(level_XP.shape[1]).DividedBy(White).floor_();
        var below_XL = count_XL.cumsum(1).sub_(count_XL);
        var new_XL = below_XL
            .PlusInPlace(step_X1.DividedBy(2).floor_())
            .div_(step_X1.Clamp(min: 1))
            .floor_()
            .ClampInPlace(max: White)
            .DividedByInPlace(White);
        var equal_NCHW = new_XL.gather(1, level_XP).view(pixels_NCHW.shape);
        return where(step_X1.GreaterThan(0).view(pixels_NCHW.shape[0], -1, 1, 1), equal_NCHW, pixels_NCHW).MoveToOuterDisposeScope();
    }

    // A point of the line from one image, at 0, through the other, at 1.
    private static Tensor Blend(Tensor zero_NCHW, Tensor one_NCHW, Tensor factor_N111) =>
        zero_NCHW.lerp(one_NCHW, factor_N111).ClampInPlace(0, 1);
}

// Axes: N = images, C = channels, H = height, W = width.

using System.Buffers;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>One of the views that <see cref="ScoringViews"/> averages.</summary>
/// <param name="Weight">Its part of the mean.</param>
/// <param name="Shift">Pixels to the right and down from which it is taken: −1, 0 or 1, with the border reflected.</param>
/// <param name="Mirrored">Whether it is the mirror image of that.</param>
internal readonly record struct ScoringView(double Weight, int Shift, bool Mirrored)
{
    /// <summary>The view of images; the caller's dispose scope owns it, where it is not the images themselves.</summary>
    /// <param name="images_NCHW">(N, C, H, W), at least 2 pixels a side where they are shifted.</param>
    public Tensor Of(Tensor images_NCHW)
    {
        var (height, width) = (images_NCHW.shape[2], images_NCHW.shape[3]);
        var shifted_NCHW = Shift == 0
            ? images_NCHW
            : nn.functional.pad(images_NCHW, [1, 1, 1, 1], PaddingModes.Reflect)
                .narrow(2, 1 + Shift, height)
                .narrow(3, 1 + Shift, width)
                .contiguous();
        return Mirrored ? shifted_NCHW.flip(3) : shifted_NCHW;
    }

    /// <summary>Makes the view of planes (of channels, of images) in their place.</summary>
    /// <param name="planes">Numbers, (planes, H, W).</param>
    /// <param name="height">H.</param>
    /// <param name="width">W.</param>
    public void Apply(Span<float> planes, int height, int width)
    {
        if (Shift != 0)
            Move(planes, height, width);
        if (!Mirrored)
            return;
        for (var line = 0; line < planes.Length; line += width)
            planes.Slice(line, width).Reverse();
    }

    private void Move(Span<float> planes, int height, int width)
    {
        var size = height * width;
        var copy = ArrayPool<float>.Shared.Rent(size);
        for (var plane = 0; plane < planes.Length; plane += size)
        {
            var target = planes.Slice(plane, size);
            target.CopyTo(copy);
            for (var y = 0; y < height; y++)
            {
                var source = copy.AsSpan(Reflected(y + Shift, height) * width, width);
                for (var x = 0; x < width; x++)
                    target[(y * width) + x] = source[Reflected(x + Shift, width)];
            }
        }
        ArrayPool<float>.Shared.Return(copy);
    }

    private static int Reflected(int place, int side) => place < 0 ? -place : place < side ? place : (2 * (side - 1)) - place;
}

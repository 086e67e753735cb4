// Axes: N = images, C = channels, H = height, W = width.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Augmentation;

/// <summary>
/// Where a pixel of a new image lies in the old one: x′ = Xx·x + Xy·y + X1, y′ = Yx·x + Yy·y + Y1, in pixels from the middle of the image,
/// x to the right and y down.
/// </summary>
internal readonly record struct AffineMap(double Xx, double Xy, double X1, double Yx, double Yy, double Y1)
{
    /// <summary>Turns the image counterclockwise about its middle.</summary>
    public static AffineMap Rotation(double degrees)
    {
        var (sin, cos) = Math.SinCos(degrees * Math.PI / 180);
        return new(cos, -sin, 0, sin, cos, 0);
    }

    /// <summary>Moves each row to the left by its distance from the upper border times this.</summary>
    public static AffineMap ShearX(double factor, long height) => new(1, factor, factor * height / 2, 0, 1, 0);

    /// <summary>Moves each column up by its distance from the left border times this.</summary>
    public static AffineMap ShearY(double factor, long width) => new(1, 0, 0, factor, 1, factor * width / 2);

    /// <summary>Moves the image to the left and up.</summary>
    public static AffineMap Translation(double left, double up) => new(1, 0, left, 0, 1, up);

    /// <summary>Moves the pixels of a batch, with bilinear interpolation.</summary>
    /// <param name="pixels_NCHW">The images.</param>
    /// <param name="maps_N">One map an image.</param>
    /// <param name="fill_1C11">The colour that comes in from outside.</param>
    public static Tensor Warp(Tensor pixels_NCHW, AffineMap[] maps_N, Tensor fill_1C11)
    {
        using var scope = NewDisposeScope();
        var (height, width) = ((double)pixels_NCHW.shape[2], (double)pixels_NCHW.shape[3]);

        // libtorch counts from -1 to 1 from border to border, whatever the size. Its own affine_grid multiplies matrices for this, which
        // takes several times as long on a CPU.
        double[] numbers =
        [
            .. maps_N.SelectMany(map =>
                new[]
                {
                    map.Xx * 2 / width,
                    map.Xy * 2 / width,
                    map.X1 * 2 / width,
                    map.Yx * 2 / height,
                    map.Yy * 2 / height,
                    map.Y1 * 2 / height,
                }),
        ];
        var map_6N11 = tensor(numbers, [maps_N.Length, 6, 1, 1], pixels_NCHW.dtype).to(pixels_NCHW.device).transpose(0, 1);
        var x_W = Range(pixels_NCHW.shape[3], pixels_NCHW.dtype, pixels_NCHW.device).Minus((width - 1) / 2);
        var y_H1 = Range(pixels_NCHW.shape[2], pixels_NCHW.dtype, pixels_NCHW.device).Minus((height - 1) / 2).unsqueeze(1);
        var grid_NHW2 = stack([From(0), From(3)], -1);
        return nn.functional.grid_sample(
                pixels_NCHW - fill_1C11, grid_NHW2, GridSampleMode.Bilinear, GridSamplePaddingMode.Zeros, align_corners: false)
            .PlusInPlace(fill_1C11)
            .ClampInPlace(0, 1)
            .MoveToOuterDisposeScope();

        // One coordinate of where each pixel comes from.
        Tensor From(int row) => (map_6N11[row] * x_W).Plus((map_6N11[row + 1] * y_H1).Plus(map_6N11[row + 2]));
    }
}

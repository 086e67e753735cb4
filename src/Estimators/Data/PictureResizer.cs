using Microsoft.ML.Data;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.Transforms.Image;
using SkiaSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Brings a picture to a size and writes its colours plane by plane: red, green, blue, or grey.</summary>
/// <remarks>
/// Filters when it shrinks (bilinear on mipmaps, so that all pixels that become one count), which ML.NET's <c>ResizeImages</c> does not.
/// Transparency is left out.
/// </remarks>
internal sealed class PictureResizer(ImageShape shape, ImageResizingEstimator.ResizingKind resizing)
{
    private const int BytesPerPixel = 4;

    private byte[] resized = [];

    /// <summary>Writes one picture.</summary>
    /// <param name="picture">The picture, of any size.</param>
    /// <param name="destination_CHW">Receives channels × height × width bytes.</param>
    public void Write(MLImage picture, Span<byte> destination_CHW)
    {
        Write(new(picture.Pixels, picture.Width, picture.Height, picture.PixelFormat), box: null, destination_CHW);
        GC.KeepAlive(picture);
    }

    /// <summary>Writes a part of a picture, brought to the size whatever its shape.</summary>
    /// <param name="picture">The picture, of any size.</param>
    /// <param name="box">The part; null for what the way of resizing takes.</param>
    /// <param name="destination_CHW">Receives channels × height × width bytes.</param>
    public void Write(PicturePixels picture, ImageBox? box, Span<byte> destination_CHW)
    {
        var isWhole = box is null || box == new ImageBox(0, picture.Height, 0, picture.Width);
        var pixels = isWhole && picture.Width == shape.Width && picture.Height == shape.Height ? picture.Pixels : Resize(picture, box);
        var (red, blue) = picture.Format == MLPixelFormat.Rgba32 ? (0, 2) : (2, 0);
        const int Green = 1;

        var count = shape.Height * shape.Width;
        if (shape.Channels == 1)
        {
            // Luma of ITU-R BT.601, in 1/256.
            for (var i = 0; i < count; i++)
            {
                var pixel = pixels.Slice(i * BytesPerPixel, BytesPerPixel);
                destination_CHW[i] = (byte)(((77 * pixel[red]) + (150 * pixel[Green]) + (29 * pixel[blue]) + 128) >> 8);
            }
            return;
        }

        var reds = destination_CHW[..count];
        var greens = destination_CHW.Slice(count, count);
        var blues = destination_CHW.Slice(2 * count, count);
        for (var i = 0; i < count; i++)
        {
            var pixel = pixels.Slice(i * BytesPerPixel, BytesPerPixel);
            reds[i] = pixel[red];
            greens[i] = pixel[Green];
            blues[i] = pixel[blue];
        }
    }

    private unsafe ReadOnlySpan<byte> Resize(PicturePixels picture, ImageBox? box)
    {
        if (resized.Length == 0)
            resized = new byte[shape.Height * shape.Width * BytesPerPixel];
        else
            Array.Clear(resized);   // padding is black

        var colours = picture.Format == MLPixelFormat.Rgba32 ? SKColorType.Rgba8888 : SKColorType.Bgra8888;
        fixed (byte* from = picture.Pixels)
        fixed (byte* to = resized)
        {
            using var source = new SKPixmap(new SKImageInfo(picture.Width, picture.Height, colours), (IntPtr)from);
            using var target = new SKPixmap(new SKImageInfo(shape.Width, shape.Height, colours), (IntPtr)to);
            var (sourceArea, targetArea) = box is { } part
                ? (new SKRectI(part.Left, part.Top, part.Right, part.Bottom), SKRectI.Create(shape.Width, shape.Height))
                : Areas(picture.Width, picture.Height);
            using var cropped = source.ExtractSubset(sourceArea);
            using var framed = target.ExtractSubset(targetArea);
            if (cropped is null || framed is null || !cropped.ScalePixels(framed, SKFilterQuality.Medium))
                throw new InvalidOperationException(
                    $"A picture of {picture.Width}×{picture.Height} pixels cannot be resized to {shape.Width}×{shape.Height}.");
        }
        return resized;
    }

    // Which part of the picture goes where: all of it stretched, the middle of it, or all of it with bars beside it.
    private (SKRectI Source, SKRectI Target) Areas(int width, int height)
    {
        var all = SKRectI.Create(width, height);
        var target = SKRectI.Create(shape.Width, shape.Height);
        return resizing switch
        {
            ImageResizingEstimator.ResizingKind.IsoCrop => (LargestCentred(width, height, shape.Width, shape.Height), target),
            ImageResizingEstimator.ResizingKind.IsoPad => (all, LargestCentred(shape.Width, shape.Height, width, height)),
            _ => (all, target),
        };
    }

    // The largest rectangle with the proportions of (aspectWidth, aspectHeight) in the middle of (width, height), at least one pixel a
    // side.
    private static SKRectI LargestCentred(int width, int height, int aspectWidth, int aspectHeight)
    {
        var scale = Math.Min((double)width / aspectWidth, (double)height / aspectHeight);
        var w = Math.Clamp((int)Math.Round(aspectWidth * scale), 1, width);
        var h = Math.Clamp((int)Math.Round(aspectHeight * scale), 1, height);
        return SKRectI.Create((width - w) / 2, (height - h) / 2, w, h);
    }
}

using Estimators.Tests.Support;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static Microsoft.ML.Transforms.Image.ImageResizingEstimator;

namespace Estimators.Tests.Data;

[TestClass]
public sealed class PictureResizerTests
{
    [TestMethod]
    public void SameSize_CopiesThePixelsPlaneByPlane()
    {
        var pixels = Enumerable.Range(0, 3 * 4 * 5).Select(i => (byte)(i * 4)).ToArray();
        using var picture = Colours.ToPicture(pixels, 4, 5);
        CollectionAssert.AreEqual(pixels, Resize(picture, new(3, 4, 5), ResizingKind.IsoCrop));
    }

    [TestMethod]
    public void BothPixelFormats_GiveRedGreenBlue()
    {
        using var bgra = MLImage.CreateFromPixels(1, 1, MLPixelFormat.Bgra32, [10, 20, 30, 255]);
        using var rgba = MLImage.CreateFromPixels(1, 1, MLPixelFormat.Rgba32, [30, 20, 10, 255]);
        foreach (var picture in new[] { bgra, rgba })
            CollectionAssert.AreEqual(new byte[] { 30, 20, 10 }, Resize(picture, new(3, 1, 1), ResizingKind.Fill));
    }

    [TestMethod]
    public void OneChannel_IsLuma()
    {
        using var picture = Colours.ToPicture([255, 0, 0, 255, 0, 255, 0, 255, 0, 0, 255, 255], 1, 4);   // red, green, blue, white
        CollectionAssert.AreEqual(new byte[] { 77, 149, 29, 255 }, Resize(picture, new(1, 1, 4), ResizingKind.Fill), new Near(1));
    }

    [TestMethod]
    public void Shrinking_AveragesInsteadOfPicking()
    {
        // Columns of black and white, one pixel each: picking the nearest pixel would give all black or all white.
        using var picture = Colours.ToPicture([.. Enumerable.Range(0, 3 * 64 * 64).Select(i => (byte)(i % 2 * 255))], 64, 64);
        var small = Resize(picture, new(3, 8, 8), ResizingKind.Fill);
        Assert.IsTrue(small.All(b => b is > 100 and < 155), string.Join(' ', small.Take(8)));
    }

    [TestMethod]
    public void Crop_KeepsTheMiddle_Pad_AddsBlack_Fill_Stretches()
    {
        // 8 wide and 4 high: left quarter red, middle green, right quarter blue.
        var pixels = new byte[3 * 4 * 8];
        for (var i = 0; i < 32; i++)
            pixels[((i % 8) switch { < 2 => 0, < 6 => 1, _ => 2 } * 32) + i] = 255;
        using var picture = Colours.ToPicture(pixels, 4, 8);

        var cropped = Resize(picture, new(3, 4, 4), ResizingKind.IsoCrop);
        Assert.IsTrue(
            cropped.Take(16).All(b => b == 0) && cropped.Skip(16).Take(16).All(b => b == 255) && cropped.Skip(32).All(b => b == 0),
            "only the green middle");

        var padded = Resize(picture, new(3, 8, 8), ResizingKind.IsoPad);
        var rows = Enumerable
            .Range(0, 8)
            .Select(y => Enumerable.Range(0, 8).Sum(x => padded[(y * 8) + x] + padded[64 + (y * 8) + x] + padded[128 + (y * 8) + x]))
            .ToArray();
        CollectionAssert.AreEqual(new[] { 0, 0, 2040, 2040, 2040, 2040, 0, 0 }, rows, "black above and below");

        var filled = Resize(picture, new(3, 4, 4), ResizingKind.Fill);
        Assert.AreEqual(255, filled[0], "red at the left");
        Assert.AreEqual(255, filled[32 + 3], "blue at the right");
    }

    [TestMethod]
    public void OneResizer_HandlesPicturesOfAnySize()
    {
        var resizer = new PictureResizer(new(3, 6, 7), ResizingKind.IsoPad);
        var result = new byte[3 * 6 * 7];
        foreach (var (height, width) in new[] { (1, 1), (1, 500), (500, 1), (6, 7), (7, 6), (333, 222) })
        {
            using var picture = Colours.ToPicture([.. Enumerable.Repeat((byte)200, 3 * height * width)], height, width);
            resizer.Write(picture, result);
            Assert.IsTrue(result.Contains((byte)200), $"{height} × {width}");
        }
    }

    private static byte[] Resize(MLImage picture, ImageShape shape, ResizingKind resizing)
    {
        var result = new byte[shape.Length];
        new PictureResizer(shape, resizing).Write(picture, result);
        return result;
    }

    private sealed class Near(int tolerance) : System.Collections.IComparer
    {
        public int Compare(object? x, object? y) => Math.Abs((byte)x! - (byte)y!) <= tolerance ? 0 : 1;
    }
}

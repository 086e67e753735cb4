using Microsoft.ML.MoE.Augmentation;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class RandomResizedCropTests
{
    // An image whose first channel is the column of each pixel and whose second is its row shows where each new pixel comes from.
    private static Tensor Places(int images, int height, int width)
    {
        var (row_H1, column_W) = (arange(height, float64).unsqueeze(1), arange(width, float64));
        return stack([column_W + (0 * row_H1), row_H1 + (0 * column_W)]).unsqueeze(0).expand(images, 2, height, width);
    }

    [TestMethod]
    [DataRow(30, 30, 0.2, 0.6, 0.75)]
    [DataRow(20, 40, 0.08, 1.0, 0.5)]
    public void ABoxOfTheAreaAndShapeAskedForIsEnlargedToTheImage(int height, int width, double minScale, double maxScale, double minAspect)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        const int Images = 300;

        var cropped_NCHW = new RandomResizedCrop
        {
            MinScale = minScale,
            MaxScale = maxScale,
            MinAspect = minAspect,
        }.Apply(Places(Images, height, width), generator);

        var seen = new HashSet<(double, double, double, double)>();
        for (var n = 0; n < Images; n++)
        {
            var (left, right) = Line(cropped_NCHW[n, 0], width);
            var (top, bottom) = Line(cropped_NCHW[n, 1].T, height);
            seen.Add((left, right, top, bottom));
            var (boxWidth, boxHeight) = (right - left + 1, bottom - top + 1);
            var (area, aspect) = (boxWidth * boxHeight / (height * width), boxWidth / boxHeight);
            Assert.IsTrue(area > minScale * 0.8 && area < Math.Min(1, maxScale * 1.15) + 1e-9, $"area {area}");
            Assert.IsTrue(aspect > minAspect * 0.85 && aspect < 1.15 / minAspect, $"aspect {aspect}");
        }
        Assert.IsGreaterThan(250, seen.Count);

        // First and last pixel of the box, after a check that every line of the image runs evenly between them, with half a pixel of the
        // box at either end.
        static (double First, double Last) Line(Tensor places_HW, int length)
        {
            var (first, last) = (Math.Round(places_HW.min().item<double>()), Math.Round(places_HW.max().item<double>()));
            var expected_W = Enumerable
                .Range(0, length)
                .Select(i => Math.Clamp(first - 0.5 + ((i + 0.5) / length * (last - first + 1)), first, last))
                .ToArray();
            TensorAssert.AreClose(tensor(expected_W).expand_as(places_HW), places_HW, 1e-9);
            return (first, last);
        }
    }

    [TestMethod]
    public void WhatIsTooLongForTheShapesIsCutInTheMiddle()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        // 0.9 of 4×40 is never within 1:2 and 2:1.
        var cropped_NCHW = new RandomResizedCrop { MinScale = 0.9, MinAspect = 0.5 }.Apply(Places(5, 4, 40), generator);
        TensorAssert.AreClose(full([5, 4], 16.0), cropped_NCHW[.., 0, .., 0], 1e-9, "8 of 40 columns");
        TensorAssert.AreClose(full([5, 4], 23.0), cropped_NCHW[.., 0, .., 39], 1e-9);
        TensorAssert.AreClose(Places(5, 4, 40)[.., 1], cropped_NCHW[.., 1], 1e-9, "all rows");
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        (RandomResizedCrop Crop, string Message)[] bad =
        [
            (new() { MinScale = 0 }, "MinScale is 0"),
            (new() { MinScale = 1.5 }, "MinScale is 1.5"),
            (new() { MinScale = 0.5, MaxScale = 0.4 }, "MaxScale is 0.4; it must be between 0.5 and 1"),
            (new() { MinAspect = 0 }, "MinAspect is 0"),
            (new() { MinAspect = 1.1 }, "MinAspect is 1.1"),
        ];
        foreach (var (crop, message) in bad)
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(crop.Validate).Message);
    }
}

using Microsoft.ML.MoE.Augmentation;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class RandomErasingTests
{
    [TestMethod]
    [DataRow(nameof(ErasingFill.Mean))]
    [DataRow(nameof(ErasingFill.Noise))]
    public void ARectangleOfTheSizesAskedForIsWipedOutAndTheRestStays(string fill)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        const int Images = 400, Height = 24, Width = 16;
        var images_NCHW = 10 + rand(Images, 3, Height, Width);   // neither 0 nor a number that the noise ever is
        var erasing = new RandomErasing
        {
            Probability = 0.6,
            MinArea = 0.1,
            MaxArea = 0.3,
            MinAspect = 0.5,
            Fill = Enum.Parse<ErasingFill>(fill),
        };

        var erased_NCHW = erasing.Apply(images_NCHW, generator);

        var (erased, tops, lefts) = (0, new HashSet<long>(), new HashSet<long>());
        for (var n = 0; n < Images; n++)
        {
            var changed_HW = erased_NCHW[n, 0].ne(images_NCHW[n, 0]);
            var (rows, columns) = (
                changed_HW.any(1).nonzero().flatten().data<long>().ToArray(), changed_HW.any(0).nonzero().flatten().data<long>().ToArray());
            if (rows.Length == 0)
                continue;
            erased++;
            tops.Add(rows[0]);
            lefts.Add(columns[0]);
            var (height, width) = (rows[^1] - rows[0] + 1, columns[^1] - columns[0] + 1);
            Assert.AreEqual(height * width, changed_HW.sum().item<long>(), "a rectangle");
            var (area, aspect) = (height * width / (double)(Height * Width), height / (double)width);
            Assert.IsTrue(area is > 0.07 and < 0.34, $"area {area}, but for rounding 0.1 to 0.3");
            Assert.IsTrue(aspect is > 0.4 and < 2.5, $"aspect {aspect}, but for rounding 0.5 to 2");
        }
        var values = erased_NCHW.masked_select(erased_NCHW.ne(images_NCHW));

        Assert.AreEqual(0.6 * Images, erased, 50);   // 5 standard deviations
        Assert.IsGreaterThan(10, tops.Count);
        Assert.IsGreaterThan(8, lefts.Count);
        if (erasing.Fill == ErasingFill.Mean)
        {
            Assert.AreEqual(0, values.abs().max().item<float>());
            return;
        }
        Assert.AreEqual(0, values.mean().item<float>(), 0.03);
        Assert.AreEqual(1, values.std().item<float>(), 0.03);
        Assert.IsFalse(erased_NCHW[.., 0].eq(erased_NCHW[.., 1]).any().item<bool>(), "each channel has noise of its own");
    }

    [TestMethod]
    public void TheWholeImageMayGoAndWhatDoesNotFitLeavesTheImageWhole()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var images_NCHW = ones(3, 1, 5, 5);

        Assert.AreEqual(
            0,
            new RandomErasing
            {
                Probability = 1,
                MinArea = 1,
                MaxArea = 1,
                MinAspect = 1,
            }
                .Apply(images_NCHW, generator)
                .sum()
                .item<float>());

        var strip_NCHW = ones(50, 1, 1, 64);   // one row: only flat rectangles fit
        var cut_NCHW = new RandomErasing { Probability = 1, MinArea = 0.5, MaxArea = 0.5, MinAspect = 0.9 }.Apply(strip_NCHW, generator);
        TensorAssert.AreClose(strip_NCHW, cut_NCHW, 0);
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        (RandomErasing Erasing, string Message)[] bad =
        [
            (new() { Probability = 2 }, "Probability is 2"),
            (new() { MinArea = 0 }, "MinArea is 0"),
            (new() { MinArea = 0.5 }, "MaxArea is 0.333"),
            (new() { MaxArea = 1.5 }, "MaxArea is 1.5"),
            (new() { MinAspect = 0 }, "MinAspect is 0"),
            (new() { MinAspect = 2 }, "MinAspect is 2"),
            (new() { Fill = (ErasingFill)7 }, "Fill is 7"),
        ];
        foreach (var (erasing, message) in bad)
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(erasing.Validate).Message);
    }
}

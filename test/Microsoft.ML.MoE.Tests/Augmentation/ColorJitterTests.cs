using Microsoft.ML.MoE.Augmentation;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class ColorJitterTests
{
    [TestMethod]
    public void FactorsFillTheirRanges()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var grey_NCHW = ones(2000, 1, 1, 1) * 0.25;
        AssertUniform(0.6, 1.4, new ColorJitter { Brightness = 0.4 }.Apply(grey_NCHW, generator) / 0.25);
        AssertUniform(0, 3, new ColorJitter { Brightness = 2 }.Apply(grey_NCHW, generator) / 0.25);

        var step_NCHW = tensor(new[] { 0.4, 0.6 }, [1, 1, 1, 2]).expand(2000, 1, 1, 2);
        AssertUniform(0.5, 1.5, (new ColorJitter { Contrast = 0.5 }.Apply(step_NCHW, generator)[.., .., .., 1] - 0.5) / 0.1);

        var blue_NCHW = tensor(new[] { 0.4, 0.4, 0.6 }, [1, 3, 1, 1]).expand(2000, 3, 1, 1);
        var saturated_NCHW = new ColorJitter { Saturation = 0.5 }.Apply(blue_NCHW, generator);
        AssertUniform(0.5, 1.5, (saturated_NCHW[.., 2] - saturated_NCHW[.., 0]) / 0.2);

        var red_NCHW = tensor(new[] { 1.0, 0, 0 }, [1, 3, 1, 1]).expand(2000, 3, 1, 1);
        var turned_NCHW = new ColorJitter { Hue = 0.1 }.Apply(red_NCHW, generator);
        // Towards yellow, green grows by 6 times the turn; towards magenta, blue.
        AssertUniform(-0.1, 0.1, (turned_NCHW[.., 1] - turned_NCHW[.., 2]) / 6);

        static void AssertUniform(double least, double most, Tensor numbers)
        {
            Assert.IsGreaterThan(least - 1e-5, numbers.min().ToDouble());
            Assert.IsLessThan(most + 1e-5, numbers.max().ToDouble());
            // 5 standard deviations of the mean of 2000.
            Assert.AreEqual((least + most) / 2, numbers.mean().ToDouble(), (most - least) * 0.035);
            Assert.AreEqual((most - least) / Math.Sqrt(12), numbers.std().ToDouble(), (most - least) * 0.02);
        }
    }

    [TestMethod]
    public void EqualsALoopOverImagesEachWithItsFactorsInItsOrder()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(2), same = new(2);
        var jitter = new ColorJitter { Probability = 0.8, Brightness = 0.4, Contrast = 0.5, Saturation = 0.6, Hue = 0.2 };
        var pixels_NCHW = rand([50, 3, 5, 6], float64, generator: generator);
        _ = rand([50, 3, 5, 6], float64, generator: same);

        var changed_NCHW = jitter.Apply(pixels_NCHW, generator);

        var uniform_NR = RandomNumbers.Uniform(50, 9, same);
        var orders = new HashSet<string>();
        for (var n = 0; n < 50; n++)
        {
            var image_1CHW = pixels_NCHW.narrow(0, n, 1);
            int[] order = [.. Enumerable.Range(0, 4).OrderBy(operation => uniform_NR[n, 5 + operation])];
            if (uniform_NR[n, 0] < 0.8)
            {
                orders.Add(string.Concat(order));
                foreach (var operation in order)
                {
                    var uniform = uniform_NR[n, 1 + operation];
                    Tensor Factor(double strength) => tensor(1 - strength + (2 * strength * uniform)).view(1, 1, 1, 1);
                    image_1CHW = operation switch
                    {
                        0 => PixelOperations.Brightness(image_1CHW, Factor(0.4)),
                        1 => PixelOperations.Contrast(image_1CHW, Factor(0.5)),
                        2 => PixelOperations.Saturation(image_1CHW, Factor(0.6)),
                        _ => PixelOperations.Hue(image_1CHW, Factor(0.2) - 1),
                    };
                }
            }
            TensorAssert.AreClose(image_1CHW, changed_NCHW.narrow(0, n, 1), 1e-9, $"image {n}");
        }
        Assert.IsGreaterThan(12, orders.Count);
    }

    [TestMethod]
    public void GreyImagesKeepWhatHasNoColour()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var pixels_NCHW = rand(20, 1, 5, 5);
        TensorAssert.AreClose(pixels_NCHW, new ColorJitter { Saturation = 0.9, Hue = 0.5 }.Apply(pixels_NCHW, generator), 0);
        Assert.IsFalse(new ColorJitter { Brightness = 0.9 }.Apply(pixels_NCHW, generator).equal(pixels_NCHW).all().item<bool>());
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        (ColorJitter Jitter, string Message)[] bad =
        [
            (new() { Probability = 2 }, "Probability is 2"),
            (new() { Brightness = -0.1 }, "Brightness is -0.1"),
            (new() { Contrast = double.NaN }, "Contrast is NaN"),
            (new() { Saturation = double.PositiveInfinity }, "Saturation is"),
            (new() { Hue = 0.6 }, "Hue is 0.6; it must be between 0 and 0.5"),
        ];
        foreach (var (jitter, message) in bad)
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(jitter.Validate).Message);
    }
}

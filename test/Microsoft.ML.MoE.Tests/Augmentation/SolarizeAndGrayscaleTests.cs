using Microsoft.ML.MoE.Augmentation;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class SolarizeAndGrayscaleTests
{
    [TestMethod]
    public void SomeImagesAreInvertedFromTheThresholdUp()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var ramp_NCHW = tensor(new[] { 0, 127 / 255.0, 128 / 255.0, 1 }, [1, 1, 1, 4]).expand(500, 1, 1, 4);

        var solarized_NCHW = new Solarize { Probability = 0.4 }.Apply(ramp_NCHW, generator);

        var changed_N = solarized_NCHW[.., 0, 0, 3].eq(0);
        Assert.AreEqual(200, changed_N.sum().item<long>(), 55);   // 5 standard deviations
        var inverted_NCHW = tensor(new[] { 0, 127 / 255.0, 127 / 255.0, 0 }, [1, 1, 1, 4]);
        TensorAssert.AreClose(where(changed_N.view(500, 1, 1, 1), inverted_NCHW, ramp_NCHW), solarized_NCHW, 1e-12);
        TensorAssert.AreClose(1 - ramp_NCHW, new Solarize { Probability = 1, Threshold = 0 }.Apply(ramp_NCHW, generator), 1e-12);
    }

    [TestMethod]
    public void SomeImagesLoseTheirColours()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var pixels_NCHW = rand(500, 3, 2, 2);

        var changed_NCHW = new Grayscale { Probability = 0.4 }.Apply(pixels_NCHW, generator);

        var grey_N = changed_NCHW[.., 0].eq(changed_NCHW[.., 1]).flatten(1).all(1);
        Assert.AreEqual(200, grey_N.sum().item<long>(), 55);
        var luminance_NHW = (0.299 * pixels_NCHW[.., 0]) + (0.587 * pixels_NCHW[.., 1]) + (0.114 * pixels_NCHW[.., 2]);
        TensorAssert.AreClose(where(grey_N.view(500, 1, 1, 1), luminance_NHW.unsqueeze(1), pixels_NCHW), changed_NCHW, 1e-6);
    }

    [TestMethod]
    public void WhatIsGreyStays()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        foreach (var channels in new[] { 1, 2, 4 })
        {
            var pixels_NCHW = rand(5, channels, 3, 3);
            TensorAssert.AreClose(pixels_NCHW, new Grayscale { Probability = 1 }.Apply(pixels_NCHW, generator), 0);
        }
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        Assert.Contains("Probability is -1", Assert.ThrowsExactly<ArgumentException>(new Solarize { Probability = -1 }.Validate).Message);
        Assert.Contains("Threshold is 2", Assert.ThrowsExactly<ArgumentException>(new Solarize { Threshold = 2 }.Validate).Message);
        Assert.Contains("Probability is 2", Assert.ThrowsExactly<ArgumentException>(new Grayscale { Probability = 2 }.Validate).Message);
    }
}

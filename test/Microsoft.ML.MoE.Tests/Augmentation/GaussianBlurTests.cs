using Microsoft.ML.MoE.Augmentation;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class GaussianBlurTests
{
    [TestMethod]
    public void EqualsALoopOverPixels()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        const double Sigma = 1.3;
        var images_NCHW = rand([2, 2, 6, 5], float64, generator: generator);

        var blurred_NCHW = new GaussianBlur { MinSigma = Sigma, MaxSigma = Sigma }.Apply(images_NCHW, generator);

        for (var n = 0; n < 2; n++)
        {
            for (var c = 0; c < 2; c++)
            {
                for (var y = 0; y < 6; y++)
                {
                    for (var x = 0; x < 5; x++)
                    {
                        var (sum, weights) = (0.0, 0.0);
                        for (var row = 0; row < 6; row++)
                        {
                            for (var column = 0; column < 5; column++)
                            {
                                var weight = Math.Exp(-(((row - y) * (row - y)) + ((column - x) * (column - x))) / (2 * Sigma * Sigma));
                                sum += weight * images_NCHW[n, c, row, column].item<double>();
                                weights += weight;
                            }
                        }
                        Assert.AreEqual(sum / weights, blurred_NCHW[n, c, y, x].item<double>(), 1e-6);
                    }
                }
            }
        }
    }

    [TestMethod]
    public void APointSpreadsByASigmaOfTheRangeAndOneColourStays()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var images_NCHW = zeros([200, 1, 41, 41], float64);
        images_NCHW[.., .., 20, 20] = 1;

        var blurred_NHW = new GaussianBlur { MinSigma = 0.6, MaxSigma = 2.4 }.Apply(images_NCHW, generator)[.., 0];

        var squares_W = (arange(41, float64) - 20).square();
        var sigma_N = (blurred_NHW.sum([1]) * squares_W).sum([1]).sqrt();
        Assert.IsGreaterThan(0.59, sigma_N.min().item<double>());
        Assert.IsLessThan(2.41, sigma_N.max().item<double>());
        Assert.AreEqual(1.5, sigma_N.mean().item<double>(), 0.2);
        TensorAssert.AreClose(ones([200], float64), blurred_NHW.sum([1, 2]), 1e-6);
        TensorAssert.AreClose(full([3, 2, 5, 5], 0.3), new GaussianBlur().Apply(full([3, 2, 5, 5], 0.3), generator), 1e-6);
    }

    [TestMethod]
    public void OnlySomeImagesAreBlurred()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var images_NCHW = rand(500, 1, 6, 6);
        var blurred_NCHW = new GaussianBlur { Probability = 0.3, MinSigma = 1 }.Apply(images_NCHW, generator);
        Assert.AreEqual(150, blurred_NCHW.ne(images_NCHW).flatten(1).any(1).sum().item<long>(), 51);   // 5 standard deviations
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        (GaussianBlur Blur, string Message)[] bad =
        [
            (new() { Probability = -1 }, "Probability is -1"),
            (new() { MinSigma = 0 }, "MinSigma is 0"),
            (new() { MinSigma = 3 }, "MaxSigma is 2"),
        ];
        foreach (var (blur, message) in bad)
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(blur.Validate).Message);
    }
}

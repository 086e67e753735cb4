using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class ImageMixingTests
{
    private const int Images = 60, Height = 8, Width = 6;

    // Pixel p of image n is n + p / 64, and n is its class: a pixel tells both where it comes from.
    private static Tensor NumberedImages(int images = Images) =>
        arange(images, float64).view(images, 1, 1, 1)
        + (arange(Height * Width, float64).view(1, 1, Height, Width) / 64).expand(1, 2, Height, Width);

    [TestMethod]
    public void MixupBlendsImagesAndTargetsAlike()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);

        var (images_NCHW, targets_NC) = new ImageMixing { MixupAlpha = 0.4 }.Apply(NumberedImages(), arange(Images), Images, generator);

        // λ·n + (1 − λ)·m is the targets' mean class, and pixel p is p everywhere.
        var meanClass_N = targets_NC.to_type(float64).matmul(arange(Images, float64));
        var expected_NCHW = meanClass_N.view(Images, 1, 1, 1) + (NumberedImages()[0] - 0);
        TensorAssert.AreClose(expected_NCHW, images_NCHW, 1e-5);
        TensorAssert.AreClose(ones(Images), targets_NC.sum(1), 1e-6);
        Assert.IsTrue(targets_NC.gt(0).sum(1).le(2).all().item<bool>());
        var own_N = targets_NC.diagonal();
        Assert.IsGreaterThan(50, own_N.gt(0).logical_and(own_N.lt(1)).sum().item<long>());
        Assert.IsGreaterThan(50, own_N.data<float>().ToArray().Distinct().Count(), "each image has its own λ");
    }

    [TestMethod]
    public void CutMixTakesABoxFromTheSamePlaceAndTheTargetsAreTheAreas()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var numbered_NCHW = NumberedImages();

        var (images_NCHW, targets_NC) = new ImageMixing { CutMixAlpha = 1 }.Apply(numbered_NCHW, arange(Images), Images, generator);

        TensorAssert.AreClose(numbered_NCHW.frac().expand_as(images_NCHW), images_NCHW.frac(), 1e-9, "pixels stay where they are");
        TensorAssert.AreClose(images_NCHW[.., 0], images_NCHW[.., 1], 0, "all channels alike");
        var source_NHW = images_NCHW[.., 0].floor().to_type(int64);
        var boxes = 0;
        for (var n = 0; n < Images; n++)
        {
            var taken_HW = source_NHW[n].ne(n);
            var taken = taken_HW.sum().item<long>();
            Assert.AreEqual(1 - (taken / (double)(Height * Width)), targets_NC[n, n].item<float>(), 1e-6);
            if (taken == 0)
                continue;
            boxes++;
            var other = source_NHW[n].masked_select(taken_HW).unique().output;
            Assert.AreEqual(1, other.numel(), "one other image");
            Assert.AreEqual(taken / (double)(Height * Width), targets_NC[n, other.item<long>()].item<float>(), 1e-6);
            Assert.AreEqual(taken, taken_HW.any(0).sum().item<long>() * taken_HW.any(1).sum().item<long>(), "a rectangle");
        }
        Assert.IsGreaterThan(40, boxes);
        TensorAssert.AreClose(ones(Images), targets_NC.sum(1), 1e-6);
    }

    [TestMethod]
    [DataRow(0.0, 1.0)]
    [DataRow(0.3, 1.0)]
    [DataRow(1.0, 1.0)]
    [DataRow(0.5, 0.4)]
    public void EachImageChoosesByTheProbabilities(double switchProbability, double probability)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        const int Many = 2000;
        var numbered_NCHW = NumberedImages(Many);

        // With α of 100 Mixup's λ is near 0.5, and so is CutMix's box: neither is taken for an unchanged image, but for pairs of an image
        // with itself.
        var (images_NCHW, targets_NC) = new ImageMixing
        {
            MixupAlpha = 100,
            CutMixAlpha = 100,
            Probability = probability,
            SwitchProbability = switchProbability,
        }.Apply(numbered_NCHW, arange(Many), Many, generator);

        var own_NHW = images_NCHW[.., 0].sub(numbered_NCHW[.., 0]).abs().lt(1e-6);
        var (all_N, any_N) = (own_NHW.flatten(1).all(1), own_NHW.flatten(1).any(1));
        AssertPart(probability, Many - all_N.sum().item<long>());
        // A part is the image's own: CutMix.
        AssertPart(probability * switchProbability, any_N.logical_and(all_N.logical_not()).sum().item<long>());
        TensorAssert.AreClose(ones(Many), targets_NC.sum(1), 1e-6);

        static void AssertPart(double expected, long count) =>
            Assert.AreEqual(expected, count / (double)Many, (5 * Math.Sqrt(expected * (1 - expected) / Many)) + 0.002);
    }

    [TestMethod]
    [DataRow(0.2)]
    [DataRow(1.0)]
    [DataRow(3.0)]
    public void TheWeightIsOfTheBetaDistribution(double alpha)
    {
        using var generator = new Generator(4);
        var numbers = RandomNumbers.Beta(alpha, 20_000, generator);

        Assert.IsTrue(numbers.All(number => number is >= 0 and <= 1));
        Assert.AreEqual(0.5, numbers.Average(), 0.012);
        var variance = numbers.Average(number => (number - 0.5) * (number - 0.5));
        Assert.AreEqual(1 / (4 * ((2 * alpha) + 1)), variance, 0.004);   // of Beta(α, α)
    }

    [TestMethod]
    public void WithoutMixingTheImagesStayAndTheTargetsAreTheClasses()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var images_NCHW = rand(3, 1, 4, 4);
        ImageMixing[] off = [ImageMixing.None, new() { MixupAlpha = 1, CutMixAlpha = 1, Probability = 0 }];
        foreach (var mixing in off)
        {
            var (same_NCHW, targets_NC) = mixing.Apply(images_NCHW, tensor(new long[] { 1, 0, 2 }), 4, generator);
            TensorAssert.AreClose(images_NCHW, same_NCHW, 0);
            TensorAssert.AreEqual([0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0], targets_NC);
            same_NCHW.Dispose();
            Assert.IsFalse(images_NCHW.IsInvalid);
        }
    }

    [TestMethod]
    public void ABatchOfOneStaysAsItIs()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(6);
        var image_NCHW = rand(1, 1, 4, 4);
        var (same_NCHW, targets_NC) = new ImageMixing { MixupAlpha = 1, CutMixAlpha = 1 }.Apply(
            image_NCHW, tensor(new long[] { 1 }), 2, generator);
        TensorAssert.AreClose(image_NCHW, same_NCHW, 0);
        TensorAssert.AreEqual([0, 1], targets_NC);
    }

    [TestMethod]
    public void TheSameSeedDoesTheSameAndTheGlobalGeneratorIsNotTouched()
    {
        using var scope = NewDisposeScope();
        using Generator first = new(7), second = new(7);
        var mixing = new ImageMixing { MixupAlpha = 0.8, CutMixAlpha = 1 };
        var (images_NCHW, labels_N) = (rand(20, 1, 6, 6), arange(20));
        random.manual_seed(9);
        var expected = rand(3);
        random.manual_seed(9);

        var once = mixing.Apply(images_NCHW, labels_N, 20, first);
        var again = mixing.Apply(images_NCHW, labels_N, 20, second);
        var later = mixing.Apply(images_NCHW, labels_N, 20, second);

        TensorAssert.AreClose(once.Images_NCHW, again.Images_NCHW, 0);
        TensorAssert.AreClose(once.Targets_NC, again.Targets_NC, 0);
        Assert.IsFalse(once.Targets_NC.equal(later.Targets_NC).all().item<bool>());
        TensorAssert.AreClose(expected, rand(3), 0);
    }

    [TestMethod]
    public void NoTensorIsLeftBehindAndNoGradientRecorded()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(8);
        var (images_NCHW, labels_N) = (rand(5, 3, 6, 4).requires_grad_(true), zeros(5, int64));
        var before = LiveTensors.Count();
        foreach (
            var mixing in new ImageMixing[]
            {
                new() { MixupAlpha = 1 },
                new() { CutMixAlpha = 1 },
                new() { MixupAlpha = 1, CutMixAlpha = 1 },
            }
        )
        {
            var (mixed_NCHW, targets_NC) = mixing.Apply(images_NCHW, labels_N, 2, generator);
            Assert.IsFalse(mixed_NCHW.requires_grad || targets_NC.requires_grad);
            mixed_NCHW.Dispose();
            targets_NC.Dispose();
        }
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(9);
        (ImageMixing Mixing, string Message)[] bad =
        [
            (new() { MixupAlpha = -1 }, "MixupAlpha is -1"),
            (new() { CutMixAlpha = double.NaN }, "CutMixAlpha is NaN"),
            (new() { Probability = 1.5 }, "Probability is 1.5"),
            (new() { SwitchProbability = -0.5 }, "SwitchProbability is -0.5"),
        ];
        foreach (var (mixing, message) in bad)
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(mixing.Validate).Message);

        var on = new ImageMixing { MixupAlpha = 1 };
        Assert.Contains(
            "(3, 4)", Assert.ThrowsExactly<ArgumentException>(() => on.Apply(zeros(3, 4), zeros(3, int64), 2, generator)).Message);
        Assert.Contains(
            "Int64 (2)", Assert.ThrowsExactly<ArgumentException>(() => on.Apply(zeros(3, 1, 4, 4), zeros(2, int64), 2, generator)).Message);
        Assert.Contains(
            "Float32", Assert.ThrowsExactly<ArgumentException>(() => on.Apply(zeros(3, 1, 4, 4), zeros(3), 2, generator)).Message);
        Assert.Contains(
            "classes is 0",
            Assert.ThrowsExactly<ArgumentException>(() => on.Apply(zeros(3, 1, 4, 4), zeros(3, int64), 0, generator)).Message);
    }
}

using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class ImageAugmentationTests
{
    [TestMethod]
    [DataRow(0, 0.0)]
    [DataRow(2, 0.0)]
    [DataRow(0, 1.0)]
    [DataRow(3, 0.5)]
    public void ShapeAndTypeStay(int padding, double flip)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var images = rand(5, 3, 6, 4);

        var changed = new ImageAugmentation { CropPadding = padding, FlipProbability = flip }.Apply(images, generator);

        CollectionAssert.AreEqual(images.shape, changed.shape);
        Assert.AreEqual(float32, changed.dtype);
    }

    [TestMethod]
    public void WithoutPaddingAndFlipImagesStayAndTheResultIsTheCallers()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var images = rand(5, 3, 6, 4);

        using (var same = ImageAugmentation.None.Apply(images, generator))
            Assert.IsTrue(same.equal(images).all().item<bool>());

        Assert.IsFalse(images.IsInvalid);
    }

    [TestMethod]
    public void AFlipMirrorsLeftToRight()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var images = tensor(new float[] { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 }, [1, 2, 2, 3]);

        var flipped = new ImageAugmentation { FlipProbability = 1 }.Apply(images, generator);

        CollectionAssert.AreEqual(new float[] { 3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10 }, flipped.data<float>().ToArray());
    }

    [TestMethod]
    public void WhatIsMirroredCanBeGiven()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var images = rand(4, 3, 2, 5);
        var mirrored = tensor(new[] { true, false, false, true });

        var changed = new ImageAugmentation { FlipProbability = 0.5 }.Apply(images, generator, mirrored);
        TensorAssert.AreClose(where(mirrored.view(4, 1, 1, 1), images.flip(3), images), changed, 0);
        TensorAssert.AreClose(changed, ImageAugmentation.None.Apply(images, generator, mirrored), 0);

        // The same windows, mirrored or not.
        var shifting = new ImageAugmentation { CropPadding = 1 };
        using Generator first = new(2), second = new(2);
        var plain = shifting.Apply(images, first, zeros(4, dtype: ScalarType.Bool));
        TensorAssert.AreClose(plain.flip(3), shifting.Apply(images, second, ones(4, dtype: ScalarType.Bool)), 0);
    }

    [TestMethod]
    public void EachImageIsAWindowOfItsPaddedSelfAndAllWindowsOccur()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        const int Padding = 2;
        var images = arange(1, 1 + (400 * 2 * 4 * 3), dtype: float32).view(400, 2, 4, 3);
        var padded = zeros(400, 2, 8, 7);
        padded[.., .., 2..6, 2..5] = images;

        var cropped = new ImageAugmentation { CropPadding = Padding, FlipProbability = 0.5 }.Apply(images, generator);

        var seen = new Dictionary<(int, int, bool), int>();
        for (int i = 0; i < 400; i++)
        {
            var matches = from top in Enumerable.Range(0, 5)
                          from left in Enumerable.Range(0, 5)
                          from mirrored in new[] { false, true }
                          let window = padded[i, .., top..(top + 4), left..(left + 3)]
                          where (mirrored ? window.flip(2) : window).equal(cropped[i]).all().item<bool>()
                          select (top, left, mirrored);
            var match = matches.Single();
            seen[match] = seen.GetValueOrDefault(match) + 1;
        }

        Assert.AreEqual(25, seen.Keys.Select(key => (key.Item1, key.Item2)).Distinct().Count());
        Assert.AreEqual(200, seen.Where(pair => pair.Key.Item3).Sum(pair => pair.Value), 60);   // 6 standard deviations
    }

    [TestMethod]
    public void TheSameSeedDoesTheSameAndTheGlobalGeneratorIsNotTouched()
    {
        using var scope = NewDisposeScope();
        var augmentation = new ImageAugmentation { CropPadding = 3, FlipProbability = 0.5 };
        var images = rand(20, 1, 6, 6);
        using Generator first = new(4), second = new(4);
        random.manual_seed(9);
        var expected = rand(3);
        random.manual_seed(9);

        var once = augmentation.Apply(images, first);
        var again = augmentation.Apply(images, second);
        var later = augmentation.Apply(images, second);

        Assert.IsTrue(once.equal(again).all().item<bool>());
        Assert.IsFalse(once.equal(later).all().item<bool>());
        Assert.IsTrue(rand(3).equal(expected).all().item<bool>());
    }

    [TestMethod]
    public void NoTensorIsLeftBehind()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var images = rand(5, 3, 6, 4);
        long before = LiveTensors.Count();

        new ImageAugmentation { CropPadding = 2, FlipProbability = 0.5 }.Apply(images, generator).Dispose();
        ImageAugmentation.None.Apply(images, generator).Dispose();

        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void ColoursAreChangedInPixelsAndNormalisedAgain()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(2), same = new(2);
        var scale = new PixelScale([0.5f, 0.4f, 0.3f], [0.25f, 0.2f, 0.1f]);
        var pixels_NCHW = rand(20, 3, 6, 6);
        var jitter = new ColorJitter
        {
            Brightness = 0.4,
            Contrast = 0.4,
            Saturation = 0.4,
            Hue = 0.1,
        };
        var augmentation = new ImageAugmentation
        {
            Pixels = scale,
            ColorJitter = jitter,
            Grayscale = new() { Probability = 0.5 },
            Solarize = new() { Probability = 0.5 },
        };

        var changed_NCHW = augmentation.Apply(scale.FromPixels(pixels_NCHW), generator);

        var expected_NCHW = augmentation.Solarize.Apply(
            augmentation.Grayscale.Apply(jitter.Apply(scale.ToPixels(scale.FromPixels(pixels_NCHW)), same), same), same);
        TensorAssert.AreClose(expected_NCHW, scale.ToPixels(changed_NCHW), 1e-5);
    }

    [TestMethod]
    public void TheMeanColourComesInWhereRandAugmentMovesAnImage()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var scale = new PixelScale([0.5f, 0.4f, 0.3f], [0.25f, 0.2f, 0.1f]);
        var black_NCHW = scale.FromPixels(zeros(200, 3, 8, 8));   // only moving changes it

        var changed_NCHW = new ImageAugmentation { Pixels = scale, RandAugment = new() }.Apply(black_NCHW, generator);
        var filled_NCHW = new ImageAugmentation { Pixels = scale, RandAugment = new() { Fill = [0, 0, 0] } }.Apply(black_NCHW, generator);

        Assert.IsGreaterThan(0.05, changed_NCHW.abs().lt(1e-5).to_type(float32).mean().ToDouble());
        TensorAssert.AreClose(black_NCHW, filled_NCHW, 1e-5, "a fill of its own comes first");
    }

    [TestMethod]
    public void PixelsComeBackFromTheirNormalisation()
    {
        using var scope = NewDisposeScope();
        var scale = new PixelScale([0.5f, 0.25f], [0.25f, 0.5f]);
        var pixels_NCHW = tensor(new[] { 0, 0.5, 1, 0.25 }, [2, 2, 1, 1]);

        TensorAssert.AreClose(tensor(new[] { -2.0, 0.5, 2, 0 }, [2, 2, 1, 1]), scale.FromPixels(pixels_NCHW), 1e-7);
        TensorAssert.AreClose(pixels_NCHW, scale.ToPixels(scale.FromPixels(pixels_NCHW)), 1e-7);
        TensorAssert.AreClose(
            tensor(new[] { 0.0, 1 }, [1, 2, 1, 1]), scale.ToPixels(tensor(new[] { -9.0, 9 }, [1, 2, 1, 1])), 0, "what lies outside");
        Assert.Contains(
            "3 channels and PixelScale has 2", Assert.ThrowsExactly<ArgumentException>(() => scale.ToPixels(rand(1, 3, 2, 2))).Message);
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var pixels = new PixelScale([0], [1]);
        (ImageAugmentation Augmentation, string Message)[] bad =
        [
            (new() { RandAugment = new() }, "Pixels is not set, but RandAugment, ColorJitter, Grayscale or Solarize is"),
            (new() { Solarize = new() }, "Pixels is not set"),
            (new() { CropPadding = 1, RandomResizedCrop = new() }, "RandomResizedCrop is set and CropPadding is 1"),
            (new() { Pixels = new([], []) }, "Mean has 0 numbers and Deviation has 0"),
            (new() { Pixels = new([0, 0], [1]) }, "Mean has 2 numbers and Deviation has 1"),
            (new() { Pixels = new([float.NaN], [1]) }, "Mean is (NaN)"),
            (new() { Pixels = new([0], [0]) }, "Deviation is (0)"),
            (new() { Pixels = pixels, RandAugment = new() { Operations = 0 } }, "Operations is 0"),
            (new() { Pixels = pixels, ColorJitter = new() { Hue = 1 } }, "Hue is 1"),
            (new() { Pixels = pixels, Grayscale = new() { Probability = 2 } }, "Probability is 2"),
            (new() { Pixels = pixels, Solarize = new() { Threshold = -1 } }, "Threshold is -1"),
            (new() { GaussianBlur = new() { MinSigma = 0 } }, "MinSigma is 0"),
            (new() { RandomResizedCrop = new() { MinScale = 0 } }, "MinScale is 0"),
            (new() { RandomErasing = new() { MinArea = 0 } }, "MinArea is 0"),
        ];
        foreach (var (augmentation, message) in bad)
        {
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(augmentation.Validate).Message);
            Assert.Contains(
                message, Assert.ThrowsExactly<ArgumentException>(() => augmentation.Apply(zeros(1, 1, 4, 4), generator)).Message);
        }

        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new ImageAugmentation { CropPadding = -1 }.Validate()).Message,
            "CropPadding is -1");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new ImageAugmentation { FlipProbability = 1.5 }.Validate()).Message,
            "FlipProbability is 1.5");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => ImageAugmentation.None.Apply(zeros(3, 4), generator)).Message, "(3, 4)");
    }
}

using Microsoft.ML.MoE.Augmentation;
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
        long before = Tensor.TotalCount;

        new ImageAugmentation { CropPadding = 2, FlipProbability = 0.5 }.Apply(images, generator).Dispose();
        ImageAugmentation.None.Apply(images, generator).Dispose();

        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);

        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new ImageAugmentation { CropPadding = -1 }.Validate()).Message, "CropPadding is -1");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new ImageAugmentation { FlipProbability = 1.5 }.Validate()).Message, "FlipProbability is 1.5");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => ImageAugmentation.None.Apply(zeros(3, 4), generator)).Message, "(3, 4)");
    }
}

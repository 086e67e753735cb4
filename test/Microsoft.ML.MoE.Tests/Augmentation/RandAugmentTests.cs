using Microsoft.ML.MoE.Augmentation;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class RandAugmentTests
{
    private static readonly RandAugmentOperation[] Operations = Enum.GetValues<RandAugmentOperation>();

    [TestMethod]
    public void OneOperationAnImageIsOneOfFourteenAndAllAreEquallyLikely()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        const int Images = 1400;
        var image_1CHW = Picture(generator);
        var candidates = Operations
            .SelectMany(operation =>
                new[] { 0.7, -0.7 }.Select(magnitude =>
                    (operation, Result: RandAugment.ApplyTo(image_1CHW, operation, magnitude).flatten())))
            .ToArray();

        var changed_NX = new RandAugment { Operations = 1, Magnitude = 7 }
            .Apply(image_1CHW.expand(Images, 3, 20, 20), generator)
            .flatten(1);

        // The nearest candidate is equal. Those without a direction are the same twice.
        var distance_NK = (changed_NX.unsqueeze(1) - stack(candidates.Select(candidate => candidate.Result))).abs().amax([2]);
        Assert.IsLessThan(1e-5, distance_NK.amin([1]).max().item<float>());
        var counts = distance_NK
            .argmin(1)
            .data<long>()
            .ToArray()
            .CountBy(k => candidates[k])
            .ToDictionary(pair => pair.Key, pair => pair.Value);
        foreach (var operation in Operations)
        {
            var each = counts.Where(pair => pair.Key.operation == operation).Select(pair => pair.Value).ToArray();
            Assert.AreEqual(100, each.Sum(), 50, operation.ToString());   // 5 standard deviations
            if (Directed(operation))
                Assert.IsTrue(each.Length == 2 && each.All(count => count > 20), $"{operation} in both directions");
        }
    }

    [TestMethod]
    public void TwoOperationsComeOneAfterTheOther()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var image_1CHW = Picture(generator);
        var (operations, magnitudes) = (Operations, new[] { 0.5, -0.5 });
        var once = operations
            .SelectMany(operation => magnitudes.Select(magnitude => RandAugment.ApplyTo(image_1CHW, operation, magnitude)))
            .ToArray();
        var twice = once.SelectMany(image =>
                operations.SelectMany(operation =>
                    magnitudes.Select(magnitude => RandAugment.ApplyTo(image, operation, magnitude).flatten())))
            .ToArray();

        var changed_NX = new RandAugment { Magnitude = 5 }
            .Apply(image_1CHW.expand(60, 3, 20, 20), generator)
            .flatten(1);

        var distance_NK = stack(changed_NX.unbind(0).Select(image => (image - stack(twice)).abs().amax([1])));
        Assert.IsLessThan(1e-5, distance_NK.amin([1]).max().item<float>());
        Assert.IsGreaterThan(50, distance_NK.argmin(1).unique().output.numel());
    }

    [TestMethod]
    public void EveryOperationWithAMagnitudeChangesNothingAtZeroAndMoreTheGreaterItIs()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var image_1CHW = Picture(generator);
        foreach (var operation in Operations)
        {
            if (operation is RandAugmentOperation.Identity or RandAugmentOperation.AutoContrast or RandAugmentOperation.Equalize)
            {
                TensorAssert.AreClose(
                    RandAugment.ApplyTo(image_1CHW, operation, 0),
                    RandAugment.ApplyTo(image_1CHW, operation, 1),
                    0,
                    $"{operation} has no magnitude");
                continue;
            }
            TensorAssert.AreClose(image_1CHW, RandAugment.ApplyTo(image_1CHW, operation, 0), 1e-6, operation.ToString());
            var changes = new[] { 0.0, 0.3, 0.6, 1 }
                .Select(magnitude => (RandAugment.ApplyTo(image_1CHW, operation, magnitude) - image_1CHW).abs().mean().item<float>())
                .ToArray();
            for (var i = 1; i < changes.Length; i++)
                Assert.IsGreaterThan(changes[i - 1], changes[i], $"{operation}: {string.Join(", ", changes)}");
        }
    }

    [TestMethod]
    public void MagnitudesMeanWhatTheDocumentationSays()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(4);
        var image_1CHW = Picture(generator);
        var fill = full([1, 1, 1, 1], 0.5f);
        (RandAugmentOperation Operation, double Magnitude, Tensor Expected)[] cases =
        [
            (RandAugmentOperation.Rotate, -0.9, AffineMap.Warp(image_1CHW, [AffineMap.Rotation(-27)], fill)),
            (RandAugmentOperation.ShearX, 0.5, AffineMap.Warp(image_1CHW, [AffineMap.ShearX(0.15, 20)], fill)),
            (RandAugmentOperation.ShearY, -1, AffineMap.Warp(image_1CHW, [AffineMap.ShearY(-0.3, 20)], fill)),
            (RandAugmentOperation.TranslateX, 1, AffineMap.Warp(image_1CHW, [AffineMap.Translation(9, 0)], fill)),   // 45 % of 20
            (RandAugmentOperation.TranslateY, -1.0 / 9, AffineMap.Warp(image_1CHW, [AffineMap.Translation(0, -1)], fill)),
            (RandAugmentOperation.Color, -1, PixelOperations.Saturation(image_1CHW, full([1, 1, 1, 1], 0.1f))),
            (RandAugmentOperation.Contrast, 1, PixelOperations.Contrast(image_1CHW, full([1, 1, 1, 1], 1.9f))),
            (RandAugmentOperation.Brightness, 0.5, PixelOperations.Brightness(image_1CHW, full([1, 1, 1, 1], 1.45f))),
            (RandAugmentOperation.Sharpness, -0.5, PixelOperations.Sharpness(image_1CHW, full([1, 1, 1, 1], 0.55f))),
            (RandAugmentOperation.Solarize, 0.5, PixelOperations.Solarize(image_1CHW, full([1, 1, 1, 1], 128 / 255f))),
            (RandAugmentOperation.Solarize, -1, 1 - image_1CHW),
            (RandAugmentOperation.Posterize, 0.5, PixelOperations.Posterize(image_1CHW, full([1, 1, 1, 1], 4f))),   // 6 bits
            (RandAugmentOperation.Posterize, 1, PixelOperations.Posterize(image_1CHW, full([1, 1, 1, 1], 16f))),   // 4 bits

            // Beyond 10: on in proportion, as far as the operation can.
            (RandAugmentOperation.Rotate, 1.5, AffineMap.Warp(image_1CHW, [AffineMap.Rotation(45)], fill)),
            (RandAugmentOperation.ShearX, -1.5, AffineMap.Warp(image_1CHW, [AffineMap.ShearX(-0.45, 20)], fill)),
            (RandAugmentOperation.TranslateX, 1.5, AffineMap.Warp(image_1CHW, [AffineMap.Translation(13.5, 0)], fill)),
            (RandAugmentOperation.Color, 1.5, PixelOperations.Saturation(image_1CHW, full([1, 1, 1, 1], 2.35f))),
            (RandAugmentOperation.Contrast, -1.5, PixelOperations.Contrast(image_1CHW, full([1, 1, 1, 1], 0.1f))),
            (RandAugmentOperation.Sharpness, 1.2, PixelOperations.Sharpness(image_1CHW, full([1, 1, 1, 1], 2.08f))),
            (RandAugmentOperation.Solarize, 1.5, 1 - image_1CHW),
            (RandAugmentOperation.Posterize, -1.5, PixelOperations.Posterize(image_1CHW, full([1, 1, 1, 1], 64f))),   // 2 bits
        ];
        foreach (var (operation, magnitude, expected) in cases)
            TensorAssert.AreClose(expected, RandAugment.ApplyTo(image_1CHW, operation, magnitude), 1e-5, operation.ToString());
    }

    [TestMethod]
    public void TheMagnitudeVariesAboutItsMeanByTheDeviation()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var grey_NCHW = ones(4000, 1, 1, 1) * 0.5;   // only brightness changes a grey pixel by a factor: 1 ± 0.09·M

        var factors = (
            new RandAugment
            {
                Operations = 1,
                Magnitude = 5,
                MagnitudeDeviation = 0.5,
            }
                .Apply(grey_NCHW, generator)
                .flatten() / 0.5
        ).data<float>().ToArray();

        var magnitudes = factors
            .Where(factor => Math.Abs(factor - 1) > 0.2 && Math.Abs(factor - 1) < 0.8)
            .Select(factor => Math.Abs(factor - 1) / 0.09)
            .ToArray();
        Assert.IsGreaterThan(150, magnitudes.Length);
        Assert.AreEqual(5, magnitudes.Average(), 0.2);
        Assert.AreEqual(0.5, Math.Sqrt(magnitudes.Average(magnitude => (magnitude - 5) * (magnitude - 5))), 0.1);
    }

    [TestMethod]
    [DataRow(10, 1.9f)]
    [DataRow(14, 2.35f)]
    public void WhatIsDrawnStaysOnTheScale(int magnitude, float most)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(8);
        var dark_NCHW = full([3000, 1, 1, 1], 0.1f);   // only brightness makes it brighter and not white
        var augment = new RandAugment { Operations = 1, Magnitude = magnitude, MagnitudeDeviation = 2, Fill = [0.1f] };
        var changed = augment.Apply(dark_NCHW, generator) / 0.1f;
        var brighter = changed.masked_select(changed.lt(3) & changed.gt(1.001f));
        Assert.AreEqual(most, brighter.max().item<float>(), 1e-4);
        Assert.IsGreaterThan(100, brighter.numel());
    }

    [TestMethod]
    public void TheFillComesInFromOutside()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(6);
        var black_NCHW = zeros(300, 3, 10, 10);   // which no operation changes but those that move pixels

        var changed_NCHW = new RandAugment { Operations = 1, Magnitude = 9, Fill = [0.25f, 0.5f, 0.75f] }.Apply(black_NCHW, generator);

        var filled_NHW = changed_NCHW[.., 0].gt(0.2499);
        Assert.IsGreaterThan(1000, filled_NHW.sum().item<long>());
        TensorAssert.AreClose(changed_NCHW[.., 0] * 2, changed_NCHW[.., 1], 1e-6);
        TensorAssert.AreClose(changed_NCHW[.., 0] * 3, changed_NCHW[.., 2], 1e-6);
        Assert.IsLessThan(0.2501f, changed_NCHW[.., 0].max().item<float>());
    }

    [TestMethod]
    public void WhatDoesNotFitIsNamed()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        (RandAugment Augment, string Message)[] bad =
        [
            (new() { Operations = 0 }, "Operations is 0"),
            (new() { Magnitude = 16 }, "Magnitude is 16; it must be between 0 and 15"),
            (new() { MagnitudeDeviation = -1 }, "MagnitudeDeviation is -1"),
            (new() { Fill = [2] }, "Fill is 2"),
        ];
        foreach (var (augment, message) in bad)
            Assert.Contains(message, Assert.ThrowsExactly<ArgumentException>(augment.Validate).Message);
        Assert.Contains(
            "Fill has 1 numbers; one for each of the 3",
            Assert.ThrowsExactly<ArgumentException>(() => new RandAugment { Fill = [0.5f] }.Apply(rand(1, 3, 4, 4), generator)).Message);
    }

    private static bool Directed(RandAugmentOperation operation) =>
        operation
            is not (
                RandAugmentOperation.Identity
                or RandAugmentOperation.AutoContrast
                or RandAugmentOperation.Equalize
                or RandAugmentOperation.Solarize
                or RandAugmentOperation.Posterize);

    // Smooth colours with some noise, in 256 levels.
    private static Tensor Picture(Generator generator)
    {
        var (row_H1, column_W) = (linspace(0.2, 0.7, 20).unsqueeze(1), linspace(0.1, 0.8, 20));
        var picture_CHW =
            stack([row_H1 + (0 * column_W), (0 * row_H1) + column_W, 0.9 - (row_H1 * column_W)])
            + (0.1 * rand([3, 20, 20], float32, generator: generator));
        return (picture_CHW.unsqueeze(0) * 255).round() / 255;
    }
}

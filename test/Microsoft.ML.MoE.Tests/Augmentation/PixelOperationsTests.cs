using Microsoft.ML.MoE.Augmentation;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

[TestClass]
public sealed class PixelOperationsTests
{
    private const double TooClose = 1e-6;

    [TestMethod]
    public void BrightnessScalesAndStopsAtWhite()
    {
        using var scope = NewDisposeScope();
        var image = Grey(0, 0.2, 0.6);
        TensorAssert.AreClose(Grey(0, 0.1, 0.3), PixelOperations.Brightness(image, One(0.5)), TooClose);
        TensorAssert.AreClose(Grey(0, 0.4, 1), PixelOperations.Brightness(image, One(2)), TooClose);
    }

    [TestMethod]
    public void ContrastIsTheDistanceFromTheMeanBrightness()
    {
        using var scope = NewDisposeScope();
        TensorAssert.AreClose(Grey(0.4, 0.4), PixelOperations.Contrast(Grey(0.2, 0.6), One(0)), TooClose);
        TensorAssert.AreClose(Grey(0, 0.8), PixelOperations.Contrast(Grey(0.2, 0.6), One(2)), TooClose);

        // Red and blue, of brightness 0.299 and 0.114.
        var (mean, half) = ((0.299 + 0.114) / 2, PixelOperations.Contrast(Colours([1, 0, 0], [0, 0, 1]), One(0.5)));
        TensorAssert.AreClose(Colours([(1 + mean) / 2, mean / 2, mean / 2], [mean / 2, mean / 2, (1 + mean) / 2]), half, TooClose);
    }

    [TestMethod]
    public void SaturationIsTheDistanceFromGrey()
    {
        using var scope = NewDisposeScope();
        var image = Colours([1, 0, 0], [0.2, 0.2, 0.2], [0, 0.5, 0]);
        TensorAssert.AreClose(
            Colours([0.299, 0.299, 0.299], [0.2, 0.2, 0.2], [0.2935, 0.2935, 0.2935]), PixelOperations.Saturation(image, One(0)), TooClose);
        TensorAssert.AreClose(
            Colours([0.6495, 0.1495, 0.1495], [0.2, 0.2, 0.2], [0.14675, 0.39675, 0.14675]),
            PixelOperations.Saturation(image, One(0.5)),
            TooClose);
        TensorAssert.AreClose(Colours([1, 0, 0], [0.2, 0.2, 0.2], [0, 0.7065, 0]), PixelOperations.Saturation(image, One(2)), TooClose);
    }

    [TestMethod]
    public void HueTurnsTheColourCircle()
    {
        using var scope = NewDisposeScope();
        var image = Colours([1, 0, 0], [0.5, 0.5, 0.5], [0.2, 0.8, 0.2]);
        TensorAssert.AreClose(image, PixelOperations.Hue(image, One(0)), TooClose);
        TensorAssert.AreClose(
            Colours([0, 1, 0], [0.5, 0.5, 0.5], [0.2, 0.2, 0.8]),
            PixelOperations.Hue(image, One(1.0 / 3)),
            TooClose,
            "red to green, green to blue");
        TensorAssert.AreClose(
            Colours([0, 0, 1], [0.5, 0.5, 0.5], [0.8, 0.2, 0.2]),
            PixelOperations.Hue(image, One(-1.0 / 3)),
            TooClose,
            "red to blue, green to red");
        TensorAssert.AreClose(
            Colours([1, 1, 0], [0.5, 0.5, 0.5], [0.2, 0.8, 0.8]),
            PixelOperations.Hue(image, One(1.0 / 6)),
            TooClose,
            "red to yellow, green to cyan");
        TensorAssert.AreClose(
            Colours([1, 0.5, 0], [0.5, 0.5, 0.5], [0.2, 0.8, 0.5]), PixelOperations.Hue(image, One(1.0 / 12)), TooClose, "red to orange");
        TensorAssert.AreClose(
            Colours([0, 1, 1], [0.5, 0.5, 0.5], [0.8, 0.2, 0.8]), PixelOperations.Hue(image, One(0.5)), TooClose, "the complement");
    }

    [TestMethod]
    public void HueEqualsTheWayOverHueSaturationAndValue()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var image = rand([1, 3, 20, 20], float64, generator: generator);
        foreach (var turn in new[] { -0.5, -0.1, 0.03, 0.3, 0.49 })
        {
            var turned = PixelOperations.Hue(image, One(turn));
            for (var row = 0; row < 20; row++)
            {
                for (var column = 0; column < 20; column++)
                    TensorAssert.AreClose(
                        tensor(Turned(image[0, .., row, column].data<double>().ToArray(), turn)), turned[0, .., row, column], TooClose);
            }
        }

        static double[] Turned(double[] rgb, double turn)
        {
            var (value, least) = (rgb.Max(), rgb.Min());
            var (chroma, saturation) = (value - least, (value - least) / value);
            var hue =
                value == rgb[0] ? (rgb[1] - rgb[2]) / chroma / 6
                : value == rgb[1] ? ((rgb[2] - rgb[0]) / chroma / 6) + (1 / 3.0)
                : ((rgb[0] - rgb[1]) / chroma / 6) + (2 / 3.0);
            hue = (hue + turn + 2) % 1;
            var (sector, fraction) = ((int)(hue * 6), (hue * 6) - (int)(hue * 6));
            var (p, q, t) = (value * (1 - saturation), value * (1 - (saturation * fraction)), value * (1 - (saturation * (1 - fraction))));
            return sector switch
            {
                0 => [value, t, p],
                1 => [q, value, p],
                2 => [p, value, t],
                3 => [p, q, value],
                4 => [t, p, value],
                _ => [value, p, q],
            };
        }
    }

    [TestMethod]
    public void SharpnessIsTheDistanceFromTheSmoothImageWithinTheBorder()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var image = rand([2, 3, 5, 6], float64, generator: generator);
        var sharper = PixelOperations.Sharpness(image, tensor(new[] { 0.25, 1.8 }, [2, 1, 1, 1]));
        double[] factors = [0.25, 1.8];
        for (var n = 0; n < 2; n++)
        {
            for (var c = 0; c < 3; c++)
            {
                for (var y = 0; y < 5; y++)
                {
                    for (var x = 0; x < 6; x++)
                    {
                        double At(int row, int column) => image[n, c, row, column].item<double>();
                        var smooth = At(y, x);
                        if (y is > 0 and < 4 && x is > 0 and < 5)
                            smooth =
                                (
                                    (5 * At(y, x))
                                    + At(y - 1, x - 1)
                                    + At(y - 1, x)
                                    + At(y - 1, x + 1)
                                    + At(y, x - 1)
                                    + At(y, x + 1)
                                    + At(y + 1, x - 1)
                                    + At(y + 1, x)
                                    + At(y + 1, x + 1)
                                ) / 13;
                        Assert.AreEqual(
                            Math.Clamp(smooth + (factors[n] * (At(y, x) - smooth)), 0, 1), sharper[n, c, y, x].item<double>(), TooClose);
                    }
                }
            }
        }
    }

    [TestMethod]
    public void SolarizeInvertsFromTheThresholdUp()
    {
        using var scope = NewDisposeScope();
        TensorAssert.AreClose(Grey(0, 0.25, 0.5, 0.25, 0), PixelOperations.Solarize(Grey(0, 0.25, 0.5, 0.75, 1), One(0.5)), TooClose);
        TensorAssert.AreClose(Grey(1, 0.75, 0.5, 0.25, 0), PixelOperations.Solarize(Grey(0, 0.25, 0.5, 0.75, 1), One(0)), TooClose);
        TensorAssert.AreClose(
            Grey(0, 0.25, 0.5, 0.75, 1), PixelOperations.Solarize(Grey(0, 0.25, 0.5, 0.75, 1), One(256 / 255.0)), TooClose);
    }

    [TestMethod]
    [DataRow(8)]
    [DataRow(5)]
    [DataRow(4)]
    public void PosterizeKeepsTheUpperBits(int bits)
    {
        using var scope = NewDisposeScope();
        var levels = Enumerable.Range(0, 256).ToArray();
        var mask = 0xFF << (8 - bits);
        foreach (var type in new[] { float32, float64 })
        {
            var kept = PixelOperations.Posterize(Ramp().to_type(type), One(1 << (8 - bits)).to_type(type));
            CollectionAssert.AreEqual(levels.Select(level => level & mask).ToArray(), ToLevels(kept));
        }
    }

    [TestMethod]
    public void AutoContrastStretchesEachChannelAndLeavesOneColourAlone()
    {
        using var scope = NewDisposeScope();
        TensorAssert.AreClose(
            Colours([0, 0.4, 0], [0.5, 0.4, 1], [1, 0.4, 0.25]),
            PixelOperations.AutoContrast(Colours([0.2, 0.4, 0], [0.4, 0.4, 0.8], [0.6, 0.4, 0.2])), TooClose);
    }

    [TestMethod]
    public void AutoContrastMakesNoPatternOfRounding()
    {
        using var scope = NewDisposeScope();
        TensorAssert.AreClose(Grey(0.3, 0.3 + 1e-7), PixelOperations.AutoContrast(Grey(0.3, 0.3 + 1e-7)), 1e-12);
        TensorAssert.AreClose(
            Grey(0, 1), PixelOperations.AutoContrast(Grey(76 / 255.0, 77 / 255.0)), TooClose, "one level is a difference");
    }

    [TestMethod]
    public void EqualizeEqualsALoopOverLevels()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        Tensor[] images =
        [
            (rand([4, 3, 20, 30], float32, generator: generator) * 90).add(40).floor() / 255,   // many pixels a level
            (rand([2, 1, 40, 40], float32, generator: generator).square() * 255).round() / 255,
            (rand([2, 2, 9, 9], float32, generator: generator) * 255).round() / 255,   // too few pixels
            ones(1, 1, 20, 20) * 0.2,
        ];
        foreach (var image in images)
        {
            var equal = PixelOperations.Equalize(image);
            for (var n = 0; n < image.shape[0]; n++)
            {
                for (var c = 0; c < image.shape[1]; c++)
                    CollectionAssert.AreEqual(Equalized(ToLevels(image[n, c])), ToLevels(equal[n, c]));
            }
        }

        // As the Python imaging library does it, in whole numbers.
        static int[] Equalized(int[] levels)
        {
            var counts = new int[256];
            foreach (var level in levels)
                counts[level]++;
            var used = counts.Where(count => count > 0).ToArray();
            var step = (used.Sum() - used[^1]) / 255;
            if (used.Length <= 1 || step == 0)
                return levels;
            var (table, sum) = (new int[256], step / 2);
            for (var level = 0; level < 256; level++)
            {
                table[level] = Math.Min(255, sum / step);
                sum += counts[level];
            }
            return [.. levels.Select(level => table[level])];
        }
    }

    [TestMethod]
    public void EveryImageHasItsOwnNumber()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(4);
        var images = rand([3, 3, 6, 6], float64, generator: generator);
        var numbers = tensor(new[] { 0.3, 1, 1.4 }, [3, 1, 1, 1]);
        Func<Tensor, Tensor, Tensor>[] operations =
        [
            PixelOperations.Brightness,
            PixelOperations.Contrast,
            PixelOperations.Saturation,
            PixelOperations.Hue,
            PixelOperations.Sharpness,
            PixelOperations.Solarize,
            (pixels, number) => PixelOperations.Posterize(pixels, number.mul(16).round()),
        ];
        foreach (var operation in operations)
        {
            var together = operation(images, numbers);
            for (var n = 0; n < 3; n++)
                TensorAssert.AreClose(operation(images.narrow(0, n, 1), numbers.narrow(0, n, 1)), together.narrow(0, n, 1), 1e-12);
        }
    }

    [TestMethod]
    public void WithoutColoursSaturationAndHueChangeNothing()
    {
        using var scope = NewDisposeScope();
        foreach (var channels in new[] { 1, 2, 4 })
        {
            var images = rand(2, channels, 4, 4);
            var numbers = full([2, 1, 1, 1], 0.3f);
            TensorAssert.AreClose(images, PixelOperations.Saturation(images, numbers), 0);
            TensorAssert.AreClose(images, PixelOperations.Hue(images, numbers), 0);
        }
    }

    private static Tensor One(double number) => tensor(number).view(1, 1, 1, 1);

    private static Tensor Grey(params double[] pixels) => tensor(pixels, [1, 1, 1, pixels.Length]);

    private static Tensor Ramp() => (arange(256, float64) / 255).view(1, 1, 16, 16);

    // Pixels beside one another, red, green and blue each.
    private static Tensor Colours(params double[][] pixels) =>
        tensor(pixels.SelectMany(pixel => pixel).ToArray(), [1, 1, pixels.Length, 3]).permute(0, 3, 1, 2).contiguous();

    private static int[] ToLevels(Tensor pixels) =>
        [.. (pixels.to_type(float64) * 255).round().flatten().data<double>().ToArray().Select(level => (int)level)];
}

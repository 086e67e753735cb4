using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Augmentation;

/// <summary>What every augmentation keeps to.</summary>
[TestClass]
public sealed class AugmentationContractTests
{
    private delegate Tensor Change(Tensor images_NCHW, Generator generator);

    // Each at probability 0 or magnitude 0, where it does nothing, and with all that it can do. RandAugment always has operations without
    // a magnitude.
    private static readonly Dictionary<string, (Change? Nothing, Change Something)> Augmentations = new()
    {
        ["crop and flip"] = (new ImageAugmentation().Apply, new ImageAugmentation { CropPadding = 2, FlipProbability = 0.5 }.Apply),
        ["erasing"] = (new RandomErasing { Probability = 0 }.Apply, new RandomErasing { Probability = 0.8 }.Apply),
        ["erasing with noise"] = (
            new RandomErasing { Probability = 0 }.Apply, new RandomErasing { Probability = 0.8, Fill = ErasingFill.Noise }.Apply),
        ["resized crop"] = (new RandomResizedCrop { MinScale = 1, MinAspect = 1 }.Apply, new RandomResizedCrop().Apply),
        ["colour jitter"] = (
            new ColorJitter { Probability = 0, Brightness = 1 }.Apply,
            new ColorJitter
            {
                Brightness = 0.4,
                Contrast = 0.4,
                Saturation = 0.4,
                Hue = 0.1,
            }.Apply),
        ["colour jitter of strength 0"] = (new ColorJitter().Apply, new ColorJitter { Probability = 0.7, Brightness = 0.4 }.Apply),
        ["grayscale"] = (new Grayscale { Probability = 0 }.Apply, new Grayscale { Probability = 0.5 }.Apply),
        ["blur"] = (new GaussianBlur { Probability = 0 }.Apply, new GaussianBlur { Probability = 0.5 }.Apply),
        ["blur of sigma near 0"] = (new GaussianBlur { MinSigma = 0.01, MaxSigma = 0.1 }.Apply, new GaussianBlur().Apply),
        ["solarize"] = (new Solarize { Probability = 0 }.Apply, new Solarize { Probability = 0.5 }.Apply),
        ["RandAugment"] = (null, new RandAugment { MagnitudeDeviation = 0.5 }.Apply),
        ["all together"] = (WithoutProbability(ImageAugmentation.None with { RandomErasing = new() }), AllTogether),
        ["MoCo v3, first view"] = (WithoutProbability(ImageAugmentation.MoCoV3First), (images_NCHW, generator) =>
            (ImageAugmentation.MoCoV3First with { Pixels = Scale(images_NCHW.shape[1]) }).Apply(images_NCHW, generator)),
        ["MoCo v3, second view"] = (WithoutProbability(ImageAugmentation.MoCoV3Second), (images_NCHW, generator) =>
            (ImageAugmentation.MoCoV3Second with { Pixels = Scale(images_NCHW.shape[1]) }).Apply(images_NCHW, generator)),
    };

    // Those that work on pixels from 0 to 1.
    private static readonly string[] OnPixels =
    [
        "colour jitter",
        "colour jitter of strength 0",
        "grayscale",
        "blur",
        "solarize",
        "RandAugment",
        "resized crop",
    ];

    private static PixelScale Scale(long channels) =>
        new([.. Enumerable.Repeat(0.4f, (int)channels)], [.. Enumerable.Repeat(0.25f, (int)channels)]);

    private static Tensor AllTogether(Tensor images_NCHW, Generator generator) =>
        new ImageAugmentation
        {
            Pixels = Scale(images_NCHW.shape[1]),
            CropPadding = 1,
            FlipProbability = 0.5,
            RandAugment = new(),
            ColorJitter = new() { Brightness = 0.4 },
            Grayscale = new(),
            GaussianBlur = new(),
            Solarize = new(),
            RandomErasing = new(),
        }.Apply(images_NCHW, generator);

    // Everything is gone through, and nothing comes of it.
    private static Change WithoutProbability(ImageAugmentation augmentation) => (augmentation with
    {
        Pixels = Scale(3),
        RandomResizedCrop = augmentation.RandomResizedCrop is null ? null : new() { MinScale = 1, MinAspect = 1 },
        FlipProbability = 0,
        ColorJitter = (augmentation.ColorJitter ?? new() { Brightness = 0.4 }) with { Probability = 0 },
        Grayscale = new() { Probability = 0 },
        GaussianBlur = new() { Probability = 0 },
        Solarize = new() { Probability = 0 },
        RandomErasing = augmentation.RandomErasing is null ? null : new() { Probability = 0 },
    }).Apply;

    public static IEnumerable<string> Pixels => OnPixels;

    public static IEnumerable<string> WithNothing => Augmentations.Where(pair => pair.Value.Nothing is not null).Select(pair => pair.Key);

    public static IEnumerable<string> All => Augmentations.Keys;

    [TestMethod]
    [DynamicData(nameof(All))]
    public void ShapeAndTypeStayForColourAndGreyForOneImageAndForMany(string name)
    {
        using var generator = new Generator(1);
        foreach (long[] shape in new long[][] { [20, 3, 7, 9], [20, 1, 9, 7], [1, 3, 8, 8], [5, 2, 6, 6], [3, 3, 1, 1], [3, 1, 2, 2] })
        {
            foreach (var type in new[] { float32, float64 })
            {
                using var scope = NewDisposeScope();
                var images_NCHW = rand(shape, type);
                var original_NCHW = images_NCHW.clone();

                var changed_NCHW = Augmentations[name].Something(images_NCHW, generator);

                CollectionAssert.AreEqual(shape, changed_NCHW.shape);
                Assert.AreEqual(type, changed_NCHW.dtype);
                Assert.IsTrue(changed_NCHW.isfinite().all().item<bool>());
                TensorAssert.AreClose(original_NCHW, images_NCHW, 0, "the input");
            }
        }
    }

    [TestMethod]
    [DynamicData(nameof(Pixels))]
    public void PixelsStayBetweenBlackAndWhite(string name)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        var pixels_NCHW = (rand(300, 3, 8, 8) - 0.1).mul(1.25).clamp(0, 1);   // some black and white ones
        var changed_NCHW = Augmentations[name].Something(pixels_NCHW, generator);
        Assert.IsGreaterThan(-1e-6, changed_NCHW.min().ToDouble());
        Assert.IsLessThan(1 + 1e-6, changed_NCHW.max().ToDouble());
    }

    [TestMethod]
    [DynamicData(nameof(WithNothing))]
    public void AtProbabilityOrMagnitudeZeroImagesStayAndTheResultIsTheCallers(string name)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var images_NCHW = rand(20, 3, 8, 8);
        using (var same_NCHW = Augmentations[name].Nothing!(images_NCHW, generator))
            TensorAssert.AreClose(images_NCHW, same_NCHW, 1e-6);
        Assert.IsFalse(images_NCHW.IsInvalid);
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void ImagesOfABatchAreChangedEachInItsOwnWay(string name)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        var images_NCHW = rand(1, 3, 8, 8).expand(30, 3, 8, 8);
        var changed_NX = Augmentations[name].Something(images_NCHW, generator).flatten(1);
        Assert.IsGreaterThan(1, changed_NX.unique(dim: 0).output.shape[0]);
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void TheSameSeedDoesTheSameAndTheGlobalGeneratorIsNotTouched(string name)
    {
        using var scope = NewDisposeScope();
        using Generator first = new(4), second = new(4);
        var images_NCHW = rand(20, 3, 8, 8);
        random.manual_seed(9);
        var expected = rand(3);
        random.manual_seed(9);

        var change = Augmentations[name].Something;
        var once_NCHW = change(images_NCHW, first);
        var again_NCHW = change(images_NCHW, second);
        var later_NCHW = change(images_NCHW, second);

        TensorAssert.AreClose(once_NCHW, again_NCHW, 0);
        Assert.IsFalse(once_NCHW.equal(later_NCHW).all().item<bool>());
        TensorAssert.AreClose(expected, rand(3), 0);
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void NoTensorIsLeftBehindAndNoGradientRecorded(string name)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        var images_NCHW = rand(20, 3, 8, 8);
        var recorded_NCHW = images_NCHW.detach().requires_grad_(true);
        var before = LiveTensors.Count();
        for (var i = 0; i < 3; i++)
        {
            using var changed_NCHW = Augmentations[name].Something(recorded_NCHW, generator);
            Assert.IsFalse(changed_NCHW.requires_grad);
            Augmentations[name].Nothing?.Invoke(images_NCHW, generator).Dispose();
        }
        Assert.AreEqual(before, Tensor.TotalCount);
        Assert.IsTrue(is_grad_enabled());
    }

    [TestMethod]
    [DynamicData(nameof(All))]
    public void ImagesOfAnotherShapeAreNamed(string name)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(6);
        Assert.Contains(
            "(3, 4)", Assert.ThrowsExactly<ArgumentException>(() => Augmentations[name].Something(zeros(3, 4), generator)).Message);
    }
}

using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>How the options of <see cref="WideNetImageClassifier"/> become an architecture.</summary>
[TestClass]
public sealed class WideNetOptionsTests
{
    private static readonly WideNetConfig[] Presets =
    [
        WideNetConfig.Base,
        WideNetConfig.Large,
        WideNetConfig.Huge,
        WideNetConfig.Small,
        WideNetConfig.Thumbnail,
        WideNetConfig.Compact,
        WideNetConfig.Tiny,
    ];

    [TestMethod]
    public void APreset_IsTakenOverInFull_ButForWhatTheDataDecide()
    {
        foreach (var preset in Presets)
        {
            var expected = preset with { Channels = 3, ImageHeight = 96, ImageWidth = 64, ClassCount = 7 };
            Assert.AreEqual(
                expected,
                new WideNetImageClassifier.Options { Architecture = preset, PatchSize = preset.PatchSize }.CreateConfig(
                    new ImageShape(3, 96, 64), classCount: 7));
        }
    }

    [TestMethod]
    [DataRow(28, 28, 4)]
    [DataRow(32, 32, 4)]
    [DataRow(64, 64, 8)]
    [DataRow(224, 224, 16)]
    [DataRow(8, 8, 1)]
    [DataRow(60, 30, 4)]
    [DataRow(97, 97, 8)]
    [DataRow(218, 178, 16)]
    public void WithoutAPreset_ItAndItsPatchesSuitTheImages(int height, int width, int patch)
    {
        var expected = (Math.Max(height, width) <= 64 ? WideNetConfig.Thumbnail : WideNetConfig.Compact) with
        {
            Channels = 1,
            ImageHeight = height,
            ImageWidth = width,
            ClassCount = 10,
            PatchSize = patch,
        };
        Assert.AreEqual(expected, new WideNetImageClassifier.Options().CreateConfig(new ImageShape(1, height, width), classCount: 10));
    }

    [TestMethod]
    [DataRow(28, 28, 4)]
    [DataRow(8, 8, 1)]
    [DataRow(60, 30, 3)]
    public void WithoutAStem_PatchesDivideTheImages(int height, int width, int patch)
    {
        var options = new WideNetImageClassifier.Options { Architecture = WideNetConfig.Small };
        Assert.AreEqual(patch, options.CreateConfig(new ImageShape(1, height, width), classCount: 10).PatchSize);
    }

    [TestMethod]
    public void SoManyTokensOfAStem_AreRefused_UnlessThePatchSizeIsSet()
    {
        var shape = new ImageShape(3, 1024, 1024);
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new WideNetImageClassifier.Options().CreateConfig(shape, classCount: 10)).Message,
            "Images of 1024×1024 pixels would become 4,096 tokens of 16×16 pixels");
        Assert.AreEqual(1024, new WideNetImageClassifier.Options { PatchSize = 32 }.CreateConfig(shape, classCount: 10).Patches);
    }

    [TestMethod]
    [DataRow(97, 97, "Images of 97×97 pixels would be cut into 9,409 patches of 1×1")]
    [DataRow(218, 178, "Images of 178×218 pixels would be cut into 9,701 patches of 2×2")]
    [DataRow(1024, 1024, "Images of 1024×1024 pixels would be cut into 4,096 patches of 16×16")]
    public void ImagesThatOnlyTinyPatchesDivide_AreRefused_UnlessThePatchSizeIsSet(int height, int width, string message)
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() =>
            WithoutStem().CreateConfig(new ImageShape(3, height, width), classCount: 10));
        StringAssert.Contains(error.Message, message);
        StringAssert.Contains(
            error.Message,
            "Set ImageHeight and ImageWidth to multiples of 16 for a column of pictures, which are resized, or set PatchSize.");

        var config = (WideNetConfig)
            WithoutStem(patchSize: 1).CreateConfig(new ImageShape(3, height, width), classCount: 10);
        Assert.AreEqual(1, config.PatchSize);
        Assert.ThrowsExactly<ArgumentException>(
            () => WithoutStem(height: height, width: width).Validate(),
            "known before there are data");

        static WideNetImageClassifier.Options WithoutStem(int? patchSize = null, int? height = null, int? width = null) => new()
        {
            Architecture = WideNetConfig.Small,
            PatchSize = patchSize,
            ImageHeight = height,
            ImageWidth = width,
        };
    }

    [TestMethod]
    public void OneSideAlone_IsNoReasonToRefuse()
    {
        foreach (var architecture in new[] { null, WideNetConfig.Small })
        {
            new WideNetImageClassifier.Options { Architecture = architecture, ImageHeight = 97 }.Validate();
            new WideNetImageClassifier.Options { Architecture = architecture, ImageWidth = 97 }.Validate();
            new WideNetImageClassifier.Options { Architecture = architecture, ImageHeight = 1120 }.Validate();   // beside 224 it makes 980 patches of 16
            new WideNetImageClassifier.Options { Architecture = architecture, ImageHeight = 300 }.Validate();    // beside 60, 500 of 6
        }
        new SparseMlpTrainer.Options { ImageWidth = 1120 }.Validate();
        new WideNetImageClassifier.Options { ImageHeight = 1117 }.Validate();   // a stem divides nothing
        Assert.Contains(
            "1117",
            Assert.ThrowsExactly<ArgumentException>(() =>
                new WideNetImageClassifier.Options { Architecture = WideNetConfig.Small, ImageHeight = 1117 }.Validate()).Message,
            "a prime number of pixels, more than patches are allowed");
        new WideNetImageClassifier.Options
        {
            Architecture = WideNetConfig.Base,
            PatchSize = WideNetConfig.Base.PatchSize,
            ImageWidth = 96,
        }.Validate();
        var error = Assert.ThrowsExactly<ArgumentException>(() =>
            new WideNetImageClassifier.Options
            {
                Architecture = WideNetConfig.Base,
                PatchSize = WideNetConfig.Base.PatchSize,
                ImageWidth = 97,
            }.Validate());
        Assert.Contains("97", error.Message, "a side that does not suit the patches is one");
    }
}

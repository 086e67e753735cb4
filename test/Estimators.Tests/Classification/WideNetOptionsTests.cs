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
    [DataRow(60, 30, 3)]
    public void WithoutAPreset_PatchesSuitTheImages(int height, int width, int patch)
    {
        var expected = WideNetConfig.Small with
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
    [DataRow(97, 97, "Images of 97×97 pixels would be cut into 9,409 patches of 1×1")]
    [DataRow(218, 178, "Images of 178×218 pixels would be cut into 9,701 patches of 2×2")]
    [DataRow(1024, 1024, "Images of 1024×1024 pixels would be cut into 4,096 patches of 16×16")]
    public void ImagesThatOnlyTinyPatchesDivide_AreRefused_UnlessThePatchSizeIsSet(int height, int width, string message)
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() =>
            new WideNetImageClassifier.Options().CreateConfig(new ImageShape(3, height, width), classCount: 10));
        StringAssert.Contains(error.Message, message);
        StringAssert.Contains(
            error.Message,
            "Set ImageHeight and ImageWidth to multiples of 16 for a column of pictures, which are resized, or set PatchSize.");

        var config = (WideNetConfig)
            new WideNetImageClassifier.Options { PatchSize = 1 }.CreateConfig(new ImageShape(3, height, width), classCount: 10);
        Assert.AreEqual(1, config.PatchSize);
        Assert.ThrowsExactly<ArgumentException>(
            () => new WideNetImageClassifier.Options { ImageHeight = height, ImageWidth = width }.Validate(),
            "known before there are data");
    }

    [TestMethod]
    public void OneSideAlone_IsNoReasonToRefuse()
    {
        new WideNetImageClassifier.Options { ImageHeight = 97 }.Validate();
        new WideNetImageClassifier.Options { ImageWidth = 97 }.Validate();
        new WideNetImageClassifier.Options { ImageHeight = 1120 }.Validate();   // beside 224 it makes 980 patches of 16
        new WideNetImageClassifier.Options { ImageHeight = 300 }.Validate();    // beside 60, 500 of 6
        new SparseMlpTrainer.Options { ImageWidth = 1120 }.Validate();
        Assert.Contains(
            "1117",
            Assert.ThrowsExactly<ArgumentException>(() => new WideNetImageClassifier.Options { ImageHeight = 1117 }.Validate()).Message,
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

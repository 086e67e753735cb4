using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>
/// Options that are checked before the size of the images is known: what is right for some images is not refused, and what is wrong
/// for the data is, once they are there.
/// </summary>
[TestClass]
public sealed class UnknownImageSizeTests
{
    private static readonly (int Height, int Width)[] Sizes =
    [
        (8, 8),
        (12, 8),
        (28, 28),
        (97, 1),
        (1009, 1),
        (1, 997),
        (30, 60),
        (64, 112),
        (300, 60),
    ];

    private readonly MLContext ml = new(seed: 1);

    [TestMethod]
    public void InnerPatchesOfAnUnscaledBlock_AreThoseOfTheImage_OnceItIsKnown()
    {
        var data = Colours.WithKeys(ml, Colours.Rows(24));
        using var model = Colours.Trainer(ml, Options(4)).Fit(data);
        Assert.AreEqual(4, ((SparseMlpConfig)model.Model.Config).InnerPatches);

        var wrong = Colours.Trainer(ml, Options(5));
        Assert.Contains(
            "InnerPatches is 5, but ReRepresented is None; it must be null or the image's 4 patches",
            Assert.ThrowsExactly<ArgumentException>(() => wrong.Fit(data)).Message);

        var known = Options(5);
        (known.ImageHeight, known.ImageWidth) = (8, 8);
        Assert.Contains(
            "the image's 4 patches",
            Assert.ThrowsExactly<ArgumentException>(() => Colours.Trainer(ml, known)).Message,
            "known before there are data");

        static SparseMlpTrainer.Options Options(int innerPatches)
        {
            var options = Colours.SparseMlpOptions();
            options.Epochs = 1;
            options.Alter(a => a with { ReRepresented = ReRepresentedAxes.None, InnerPatches = innerPatches, InnerWidth = null });
            return options;
        }
    }

    [TestMethod]
    public void WhatIsRightForSomeImages_IsNotRefusedBeforehand()
    {
        var (right, wrong) = (0, 0);
        foreach (var make in Combinations())
        {
            foreach (var (height, width) in Sizes)
            {
                if (!IsRight(() => make(null, null).CreateConfig(new ImageShape(3, height, width), classCount: 4)))
                {
                    wrong++;
                    Assert.IsFalse(IsRight(make(height, width).Validate), $"both sides are known to be {width}×{height}");
                    continue;
                }
                right++;
                make(null, null).Validate();
                make(height, null).Validate();
                make(null, width).Validate();
                make(height, width).Validate();
            }
        }
        Assert.IsGreaterThan(100, right);
        Assert.IsGreaterThan(100, wrong);
    }

    private static IEnumerable<Func<int?, int?, ImageClassificationOptions>> Combinations()
    {
        foreach (int? patch in new int?[] { null, 1, 4, 7 })
        {
            yield return (height, width) =>
                new WideNetImageClassifier.Options
                {
                    Architecture = WideNetConfig.Tiny,
                    PatchSize = patch,
                    ImageHeight = height,
                    ImageWidth = width,
                };
            yield return (height, width) =>
                new VisionTransformerImageClassifier.Options
                {
                    Architecture = VisionTransformerConfig.MoeTiny with { PositionStart = PositionStart.SineCosine },
                    PatchSize = patch,
                    ImageHeight = height,
                    ImageWidth = width,
                };
            foreach (var axes in Enum.GetValues<ReRepresentedAxes>())
            {
                foreach (int? inner in new int?[] { null, 4, 6, 49, 97 })
                {
                    yield return (height, width) => new SparseMlpTrainer.Options
                    {
                        Architecture = SparseMlpConfig.Tiny with { ReRepresented = axes, InnerPatches = inner, InnerWidth = null },
                        PatchSize = patch,
                        ImageHeight = height,
                        ImageWidth = width,
                    };
                }
            }
        }
    }

    private static bool IsRight(Action check)
    {
        try
        {
            check();
            return true;
        }
        catch (ArgumentException)
        {
            return false;
        }
    }
}

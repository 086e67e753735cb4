using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>
/// What is <see cref="VisionTransformerImageClassifier"/>'s own; the trainer and the transformer behind it are tested with WideNet.
/// </summary>
[TestClass]
public sealed class VisionTransformerTests
{
    private static readonly VisionTransformerConfig[] Presets =
    [
        VisionTransformerConfig.Base,
        VisionTransformerConfig.Large,
        VisionTransformerConfig.MoeBase,
        VisionTransformerConfig.MoeLarge,
        VisionTransformerConfig.Small,
        VisionTransformerConfig.Thumbnail,
        VisionTransformerConfig.Compact,
        VisionTransformerConfig.MoeTiny,
    ];

    [TestMethod]
    public void APreset_IsTakenOverInFull_ButForWhatTheDataDecide()
    {
        foreach (var preset in Presets)
        {
            var expected = preset with { Channels = 3, ImageHeight = 96, ImageWidth = 64, ClassCount = 7 };
            Assert.AreEqual(
                expected,
                new VisionTransformerImageClassifier.Options { Architecture = preset, PatchSize = preset.PatchSize }.CreateConfig(
                    new ImageShape(3, 96, 64), classCount: 7));
        }
    }

    [TestMethod]
    public void WithoutAPreset_ItIsADenseViT_WhosePatchesSuitTheImages()
    {
        var expected = VisionTransformerConfig.Thumbnail with
        {
            Channels = 1,
            ImageHeight = 64,
            ImageWidth = 64,
            ClassCount = 10,
            PatchSize = 8,
        };
        Assert.AreEqual(expected, new VisionTransformerImageClassifier.Options().CreateConfig(new ImageShape(1, 64, 64), classCount: 10));
    }

    [TestMethod]
    public void MixtureBlocksAndExperts_GoTogether()
    {
        var options = new VisionTransformerImageClassifier.Options
        {
            Architecture = VisionTransformerConfig.Small with { MixtureBlocks = 2 },
        };
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(options.Validate).Message, "MixtureBlocks is 2 and Experts is 0");

        options.Alter(a => a with { Experts = 4, ExpertWidth = 48, FeedForwardWidth = 100 });
        var config = (VisionTransformerConfig)options.CreateConfig(new ImageShape(1, 28, 28), classCount: 10);
        Assert.AreEqual((2, 4, 48, 100), (config.MixtureBlocks, config.Experts, config.ExpertWidth, config.FeedForwardWidth));
    }

    [TestMethod]
    [DataRow(false, DisplayName = "ViT")]
    [DataRow(true, DisplayName = "ViT-MoE")]
    public void AModel_Learns_AndScoresTheSameAfterSavingAndLoading(bool sparse)
    {
        var ml = new MLContext(seed: 1);
        var data = Colours.WithKeys(ml, Colours.Rows(200));
        var estimator = ml.MulticlassClassification.Trainers.VisionTransformerImageClassifier(new VisionTransformerImageClassifier.Options
        {
            Architecture = sparse ? VisionTransformerConfig.MoeTiny : VisionTransformerConfig.Tiny,
            PatchSize = 4,
            Epochs = 4,
            BatchSize = 16,
            LearningRate = 5e-3,
            Seed = 7,
            Precision = Precision.Float32,
        });
        using var model = estimator.Fit(data);
        Assert.IsGreaterThan(0.95, ml.MulticlassClassification.Evaluate(model.Transform(data)).MicroAccuracy);
        Assert.AreEqual(sparse ? 1 : 0, model.Training!.Training.Epochs[^1].Averages.ExpertLoad?.Count ?? 0, "one routed layer, or none");

        using var zip = new MemoryStream();
        ml.Model.Save(model, data.Schema, zip);
        zip.Position = 0;
        var loaded = ml.Model.Load(zip, out _);
        Assert.AreEqual(sparse ? 1 : 0, ((VisionTransformerConfig)((ImageClassificationTransformer)loaded).Model.Config).MixtureBlocks);
        var (before, after) = (Scores(model.Transform(data)), Scores(loaded.Transform(data)));
        Assert.HasCount(200, before);
        for (var i = 0; i < before.Length; i++)
            CollectionAssert.AreEqual(before[i], after[i]);
    }

    private static float[][] Scores(IDataView data) => [.. data.GetColumn<float[]>("Score")];
}

using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>How the options of <see cref="SparseMlpTrainer"/> become an architecture.</summary>
[TestClass]
public sealed class SparseMlpOptionsTests
{
    private static readonly SparseMlpConfig[] Presets =
    [
        SparseMlpConfig.S16,
        SparseMlpConfig.B16,
        SparseMlpConfig.L16,
        SparseMlpConfig.Small,
        SparseMlpConfig.Thumbnail,
        SparseMlpConfig.Compact,
        SparseMlpConfig.Tiny with
        {
            SparseBlocks = BlockPositions.At(0),
            TrainingCapacity = ExpertCapacity.VMoe,
            ReRepresented = ReRepresentedAxes.Patches,
            DropPath = 0.1,
        },
    ];

    [TestMethod]
    public void APreset_IsTakenOverInFull_ButForWhatTheDataDecide()
    {
        foreach (var preset in Presets)
        {
            var expected = preset with { Channels = 3, ImageHeight = 96, ImageWidth = 64, ClassCount = 7 };
            Assert.AreEqual(
                expected,
                new SparseMlpTrainer.Options { Architecture = preset, PatchSize = preset.PatchSize }.CreateConfig(
                    new ImageShape(3, 96, 64), classCount: 7));
        }
    }

    [TestMethod]
    public void WithoutAPreset_PatchesSuitTheImages()
    {
        var expected = SparseMlpConfig.Thumbnail with { Channels = 1, ImageHeight = 64, ImageWidth = 64, ClassCount = 10, PatchSize = 8 };
        Assert.AreEqual(expected, new SparseMlpTrainer.Options().CreateConfig(new ImageShape(1, 64, 64), classCount: 10));
    }

    [TestMethod]
    public void BadOptions_AreNamedWhereTheEstimatorIsMade()
    {
        var ml = new MLContext(seed: 1);
        AssertRefused(
            options => options.Alter(a => a with { SparseBlocks = BlockPositions.Last(7) }), "SparseBlocks is 'last 7', but Blocks is 6");
        AssertRefused(options => options.Alter(a => a with { SparseBlocks = null! }), "SparseBlocks is null");
        AssertRefused(options => options.Alter(a => a with { SpatialExpertsPerItem = 5 }), "SpatialExpertsPerItem is 5");
        AssertRefused(
            options => options.Alter(a => a with { TrainingCapacity = (a.TrainingCapacity ?? ExpertCapacity.VMoe) with { Factor = 0.5 } }),
            "capacity factor is 0.5");

        void AssertRefused(Action<SparseMlpTrainer.Options> change, string message)
        {
            var options = new SparseMlpTrainer.Options();
            change(options);
            StringAssert.Contains(
                Assert.ThrowsExactly<ArgumentException>(() => ml.MulticlassClassification.Trainers.SparseMlp(options)).Message, message);
        }
    }

    [TestMethod]
    public void AModelWithMixturesOfDifferentSizes_ReportsTheLoadOfEach()
    {
        var ml = new MLContext(seed: 1);
        var options = Colours.SparseMlpOptions();
        options.Epochs = 1;
        var data = Colours.WithKeys(ml, Colours.Rows(40));
        using var model = ml.MulticlassClassification.Trainers.SparseMlp(options).Fit(data);

        // SparseMlpConfig.Tiny: 8 inner channels go to one of 4 spatial experts each, 8 inner patches to two of 3 channel experts.
        var trained = model.History[0].Averages.ExpertLoad!;
        CollectionAssert.AreEqual(new[] { 4, 3 }, trained.Select(load => load.Counts.Count).ToArray());
        CollectionAssert.AreEqual(new[] { 40L * 8, 40 * 8 * 2 }, trained.Select(load => load.Total).ToArray());

        var counted = model.GetExpertLoad(data);
        CollectionAssert.AreEqual(new[] { 4, 3 }, counted.Total.Select(load => load.Counts.Count).ToArray());
        CollectionAssert.AreEqual(new[] { 40L * 8, 40 * 8 * 2 }, counted.Total.Select(load => load.Total).ToArray());
    }
}

using Estimators.Tests.Support;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using Samples;
using Samples.Comparison;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class ComparisonTests
{
    private static readonly ImageSet Set = ImageSet.Create(
        "colours", side: 8, [.. Colours.Rows(100).Select(ToRow)], [.. Colours.Rows(30, seed: 2).Select(ToRow)], Colours.Names);

    private static readonly Experiment Tiny = new(
        "tiny", "Two models", "Nothing.", TrainingImages: 40, Epochs: 2,
        [
            Variant.SparseMlp("dense", SparseMlpConfig.Tiny with { SparseBlocks = BlockPositions.None }),
            Variant.SparseMlp("pre-trained", SparseMlpConfig.Tiny) with { Pretrained = true },
            Variant.WideNet("WideNet", WideNetConfig.Tiny),
        ])
    { HeldOutImages = 20, UnlabelledImages = 40 };

    [TestMethod]
    public void EveryVariant_IsTrainedFromEverySeed_AndTheSameSeedRepeatsIt()
    {
        var lines = new List<string>();
        var trained = ComparisonRunner.Run(Tiny, Set, seeds: 2, lines.Add);
        CollectionAssert.AreEqual(
            new[] { ("dense", 1), ("pre-trained", 1), ("WideNet", 1), ("dense", 2), ("pre-trained", 2), ("WideNet", 2) },
            trained.Select(run => (run.Variant, run.Seed)).ToArray());
        Assert.HasCount(6, lines.Where(line => line.Contains(", seed ", StringComparison.Ordinal)).ToArray());
        Assert.HasCount(
            2, lines.Where(line => line.StartsWith("pre-trained: pre-training, epoch 1/1, loss ", StringComparison.Ordinal)).ToArray());
        Assert.IsTrue(trained.All(run => run.Curve.Count == 2 && run.Curve.All(point => point.Accuracy is >= 0 and <= 1)));
        CollectionAssert.AreEqual(
            new[] { false, true, true }, trained.Take(3).Select(run => run.LoadVariation is not null).ToArray(), "experts have a load");
        CollectionAssert.AreEqual(
            new[] { false, false, true }, trained.Take(3).Select(run => run.LayerNormDiversity is not null).ToArray());
        Assert.AreEqual(trained[0].Cost, MlpMixerConfig.Tiny.GetCost(), "a Sparse-MLP without sparse blocks is a Mixer");

        var again = ComparisonRunner.Run(Tiny, Set, seeds: 1, _ => { });
        CollectionAssert.AreEqual(
            trained.Take(3).Select(run => run.TrainingLoss).ToArray(), again.Select(run => run.TrainingLoss).ToArray());

        var alone = ComparisonRunner.Run(
            Tiny with { Variants = [Tiny.Variants[1] with { Pretrained = false }], HeldOutImages = 0 },
            Set,
            seeds: 1,
            _ => { }
        )[0];
        Assert.AreNotEqual(trained[1].TrainingLoss, alone.TrainingLoss, "without pre-training");
        Assert.IsTrue(alone.Curve.All(point => point.Accuracy is null), "nothing is held out");
    }

    [TestMethod]
    public void TooFewImages_AreCounted()
    {
        var error = Assert.ThrowsExactly<InvalidDataException>(() =>
            ComparisonRunner.Run(Tiny with { TrainingImages = 41 }, Set, seeds: 1, _ => { }));
        Assert.AreEqual("'colours' has 100 training images; this experiment wants 101.", error.Message);
    }

    [TestMethod]
    public void TheReport_HasMeansAndDeviations()
    {
        TrainedVariant[] trained =
        [
            Run("dense", 1, 0.5),
            Run("dense", 2, 0.75),
            Run("pre-trained", 1, 0.625),
            Run("pre-trained", 2, 0.625),
        ];
        var experiment = Tiny with { Variants = [.. Tiny.Variants.Take(2)] };
        var lines = ComparisonReport.ToMarkdown(experiment, trained, "some command").ReplaceLineEndings("\n").Split('\n');

        Assert.AreEqual("## Two models", lines[0]);
        Assert.AreEqual(
            "`-- some command`: 40 training images, 2 epochs, 2 seeds; accuracy on all test images. Pre-training: 40 other images without "
                + "labels, 1 epoch.",
            lines[2]);

        // The deviations are √(2 · 0.125²) and, of the differences 0.125 and −0.125, the same.
        Assert.AreEqual("| dense | 1,234 | 2.5 | 0.6250 ± 0.1768 |  | 1.000 ± 0.000 | 100 | – | – |", lines[^3]);
        Assert.AreEqual(
            "| pre-trained | 1,234 | 2.5 | 0.6250 ± 0.0000 | +0.0000 ± 0.1768, above in 1 of 2 | 1.000 ± 0.000 | 100 | – | – |", lines[^2]);
    }

    [TestMethod]
    public void TheTable_HasARowForEachTraining_WithItsCurve()
    {
        var file = Path.GetTempFileName();
        Csv.Write(
            file,
            ComparisonReport.ToRows([
                Run("dense", 1, 0.5),
                Run("4 experts, \"wide\"", 2, 0.75) with { LoadVariation = 0.1, Curve = [new(1, 2.5, null), new(2, 1.25, 0.5)] },
            ]));
        var rows = Csv.Read(file);
        File.Delete(file);

        Assert.AreEqual(
            ("dense", 1.0, 0.5, null),
            (rows[0]["variant"], rows[0].Number("seed"), rows[0].Number("test accuracy"), rows[0].NumberOrNull("load variation")));
        Assert.AreEqual(
            ("4 experts, \"wide\"", 2.0, 0.75, 0.1),
            (rows[1]["variant"], rows[1].Number("seed"), rows[1].Number("test accuracy"), rows[1].NumberOrNull("load variation")));
        Assert.IsEmpty(rows[0].Curve("loss"));
        CollectionAssert.AreEqual(new[] { (1, 2.5), (2, 1.25) }, rows[1].Curve("loss").ToArray());
        CollectionAssert.AreEqual(new[] { (2, 0.5) }, rows[1].Curve("accuracy").ToArray());
        StringAssert.Contains(Assert.ThrowsExactly<InvalidDataException>(() => rows[0].Number("speed")).Message, "'speed'");
    }

    private static TrainedVariant Run(string name, int seed, double accuracy) =>
        new(name, seed, new ModelCost(1234, 1234, 2_500_000), accuracy, 1, 100, null, null, null, []);

    private static ComparedRow ToRow(ColourRow row) => new() { Image = row.Features, Label = row.Label! };

    private sealed class ComparedRow
    {
        [Microsoft.ML.Data.VectorType(3, 8, 8)]
        public float[] Image { get; set; } = [];

        public string Label { get; set; } = "";
    }
}

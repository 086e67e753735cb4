using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using MillionExperts;
using Shakespeare;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class MillionExpertsTests
{
    [TestMethod]
    public void ATraining_TakesItsSteps_AndMeasuresTheLastTenthOfTheText()
    {
        var file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, string.Concat(Enumerable.Repeat("the cat sat on the mat. ", 125)));
            var lines = new List<string>();
            var zip = Path.ChangeExtension(file, ".zip");
            var trained = new Training(256, QueryBatchNorm: true, Steps: 3, file, zip).Run(lines.Add);
            var loaded = StoredModel.Load(zip, file);
            File.Delete(zip);
            Assert.AreEqual((trained.Saved!.FileBytes, trained.ValidationLoss), (loaded.FileBytes, loaded.ValidationLoss));
            CollectionAssert.AreEqual(new[] { 1, 2, 3 }, trained.Curve.Select(point => point.Step).ToArray());
            StringAssert.StartsWith(lines[^1], "256 experts: step 3/3, loss ");
            Assert.AreEqual((300L, 256L, 1), (trained.ValidationTokens, trained.Usage.Experts, trained.Usage.Block));
            Assert.IsTrue(trained.ValidationLoss is > 0 and < 8 && trained.Usage.Usage is > 0 and <= 1 && trained.TokensPerSecond > 0);
        }
        finally
        {
            File.Delete(file);
        }
    }

    [TestMethod]
    public void TheReport_PutsThePaperBeside()
    {
        TrainedExperts[] trained =
        [
            new(
                1024 * 1024,
                true,
                new ModelCost(1_000, 100, 10),
                1234.4,
                60,
                7_040_000_000,
                2.5,
                2.25,
                300,
                new SparseLayerUsage(1, 1024 * 1024, 0.5, 1.25, 0.5, 1),
                [new CurvePoint(5, 1.5, 2.5, 1234.4)]),
            new(1024, false, new ModelCost(1_000, 100, 10), 1, 1, 1, 1, 1, 300, new SparseLayerUsage(1, 1024, 1, 0, 1, 0), []),
        ];
        var report = TrainingTable.ToMarkdown(trained, 5, "/some/text.txt");
        StringAssert.Contains(report, "5 steps of 512 bytes of `text.txt`");
        StringAssert.Contains(report, "| 1,048,576 | yes | 1,000 | 100 | 1,234 | 7.0 GB | 2.500 | 2.250 | 50.0 % | 1.25 | 1.06 |");
        Assert.IsFalse(report.Contains("Saving", StringComparison.Ordinal));
        trained[1] = trained[1] with { Saved = new StoredModel(90.4, 1_990_000_000, 6_800_000_000, 2.5) };
        StringAssert.Contains(
            TrainingTable.ToMarkdown(trained, 5, "text.txt", new StoredModel(20.4, 1_990_000_000, 2_500_000_000, 2.5)),
            "took 90 s and gave a zip of 1.99 GB; until then training and saving had 6.8 GB in use at most. Another process loaded it in "
                + "20 s with at most 2.5 GB; its validation loss is 2.500, before saving 2.500.");
        StringAssert.Contains(report, "| 1,024 | no | 1,000 | 100 | 1 | 0.0 GB | 1.000 | 1.000 | 100.0 % | 0.00 | – |");

        var rows = TrainingTable.ToRows(trained).Select(row => row.ToDictionary()).ToArray();
        Assert.AreEqual((1.06, 20.64, 2.5), (rows[0]["paper's unevenness"], rows[0]["paper's perplexity"], rows[0]["loss 5"]));
        Assert.IsNull(rows[1]["paper's unevenness"]);
    }
}

using FashionMnist;
using Microsoft.ML;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using StockRivals;

namespace Estimators.Tests.Samples;

[TestClass]
public sealed class StockRivalsTests
{
    [TestMethod]
    public void Even_TakesAsManyOfEachClass_AndLeavesTheOthers()
    {
        var rows = Enumerable.Range(0, 60).ToArray();
        var (part, others) = Parts.Even(rows, row => (row % 3).ToString(provider: null), 12, seed: 1);

        CollectionAssert.AreEqual(new[] { 4, 4, 4 }, part.GroupBy(row => row % 3).Select(members => members.Count()).ToArray());
        CollectionAssert.AreEqual(rows, part.Concat(others).Order().ToArray());
        CollectionAssert.AreEqual(part.ToArray(), Parts.Even(rows, row => (row % 3).ToString(provider: null), 12, seed: 1).Part.ToArray());
    }

    [TestMethod]
    [DataRow(13, DisplayName = "no multiple")]
    [DataRow(63, DisplayName = "too many")]
    public void Even_RefusesWhatIsNotEven(int count) =>
        Assert.ThrowsExactly<InvalidDataException>(() =>
            Parts.Even(Enumerable.Range(0, 60).ToArray(), row => (row % 3).ToString(provider: null), count, seed: 1));

    [TestMethod]
    public void AContest_MeasuresWhatEvaluateMeasures()
    {
        var train = FashionMnistData.ReadTrain(FashionMnistData.ShippedDirectory).Take(100).ToArray();
        var test = FashionMnistData.ReadTest(FashionMnistData.ShippedDirectory).Take(200).ToArray();
        var contender = new Contender("stock", "linear", (mlContext, _) =>
            mlContext.Transforms.Conversion.MapValueToKey("Label")
                .Append(mlContext.Transforms.Conversion.ConvertType("Features", "Image"))
                .Append(mlContext.MulticlassClassification.Trainers.LbfgsMaximumEntropy()));

        var measured = new Contest<FashionMnistImage>(train, test, [contender]).Run(seeds: 2, _ => { });

        var mlContext = new MLContext(seed: 1);
        var model = contender.Create(mlContext, _ => { }).Fit(mlContext.Data.LoadFromEnumerable(train));
        var wanted = mlContext.MulticlassClassification.Evaluate(model.Transform(mlContext.Data.LoadFromEnumerable(test)));
        CollectionAssert.AreEqual(new[] { 1, 2 }, measured.Select(one => one.Seed).ToArray());
        Assert.AreEqual(wanted.MicroAccuracy, measured[0].Accuracy, 1e-9);
        Assert.AreEqual(wanted.LogLoss, measured[0].LogLoss, 1e-6);
        Assert.IsGreaterThan(0, measured[0].ZipBytes);
    }
}

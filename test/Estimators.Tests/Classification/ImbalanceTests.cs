using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>Images and classes that count more or less than others, and what validates of them.</summary>
[TestClass]
public sealed class ImbalanceTests
{
    private readonly MLContext ml = new(seed: 1);

    [TestMethod]
    public void RowsThatWeighNothing_TeachNothing_AndEqualWeightsAreNone()
    {
        // A fourth of the labels are wrong.
        var rows = Colours.Rows(60).Select(row => WeightedRow.Of(row, 5)).ToArray();
        var plain = Weights(rows, _ => { });
        AssertClose(plain, Weights(rows, options => options.ExampleWeightColumnName = "Weight"), "all weigh alike");

        foreach (var row in rows.Where((_, i) => i % 4 == 0))
            (row.Label, row.Weight) = ("red", 0);
        var ignoring = Weights(rows, options => options.ExampleWeightColumnName = "Weight");
        foreach (var row in rows.Where((_, i) => i % 4 == 0))
            row.Label = "blue";   // nor does it matter what they say
        AssertClose(ignoring, Weights(rows, options => options.ExampleWeightColumnName = "Weight"), "without the wrong ones");
        Assert.IsGreaterThan(1e-3, Difference(ignoring, Weights(rows, _ => { })), "with them");
    }

    [TestMethod]
    public void ClassWeights_AreThoseOfTheRows()
    {
        var rows = Colours.Rows(60).Select(row => WeightedRow.Of(row, row.Label == "red" ? 3 : 1)).ToArray();
        var byRow = Weights(rows, options => options.ExampleWeightColumnName = "Weight");
        AssertClose(
            byRow, Weights(rows, options => options.ClassWeights = new Dictionary<string, double> { ["red"] = 3 }), "by what it is called");
        AssertClose(
            byRow,
            Weights(
                rows,
                options => options.ClassWeights =
                    new Dictionary<string, double> { ["red"] = 6, ["blue"] = 2, ["green"] = 2, ["white"] = 2 }),
            "the mean is 1 either way");

        var counts = rows.CountBy(row => row.Label!).ToDictionary();
        AssertClose(
            Weights(rows, options => options.ClassWeights = counts.ToDictionary(pair => pair.Key, pair => 1.0 / pair.Value)),
            Weights(rows, options => options.ClassBalancing = ClassBalancing.Weights),
            "balanced");
        AssertClose(
            Weights(rows, options => (options.ClassBalancing, options.CacheInMemory) = (ClassBalancing.Sampling, true)),
            Weights(rows, options =>
                (options.ClassBalancing, options.CacheInMemory, options.ShufflePoolSize) = (ClassBalancing.Sampling, false, 100)),
            "drawn alike wherever they are");
    }

    [TestMethod]
    public void TheLabelsMayBeWithoutNames()
    {
        var keys = new Dictionary<string, uint> { ["red"] = 1, ["green"] = 2, ["blue"] = 3, ["white"] = 4 };
        var data = ml.Data.LoadFromEnumerable(
            Colours.Rows(60).Select(row => new NamelessKeyRow { Features = row.Features, Label = keys[row.Label!] }));
        Assert.IsGreaterThan(
            1e-3,
            Difference(
                Weights(data, _ => { }), Weights(data, options => options.ClassWeights = new Dictionary<string, double> { ["2"] = 9 })));
        StringAssert.Contains(
            Assert.Throws<ArgumentException>(() =>
                Weights(data, options => options.ClassWeights = new Dictionary<string, double> { ["green"] = 9 })).Message,
            "none of the 4 classes of column 'Label': '1', '2', '3', '4'.");
    }

    [TestMethod]
    public void ValidationKeepsTheClassesShares_AndNamesThoseThatAreMissing()
    {
        var rows = Colours.Rows(200).Where((row, i) => row.Label is "red" or "green" || (row.Label == "blue" && i < 40)).ToList();
        rows.Add(Colours.Rows(200).First(row => row.Label == "white"));
        var log = new LogMessages(ml);
        var options = Colours.Options();
        (options.Epochs, options.ValidationFraction) = (1, 0.25);
        using var model = Colours.Trainer(ml, options).Fit(Colours.WithKeys(ml, rows));
        Assert.AreEqual((int)Math.Round(0.25 * rows.Count), model.Training!.ValidationImages);
        StringAssert.Contains(
            log.TakeWarnings().Single(),
            "ValidationFraction: no row of 1 of the 4 classes validates, all of theirs are trained on: 'white' (1 row).");
    }

    private float[] Weights(IEnumerable<WeightedRow> rows, Action<WideNetImageClassifier.Options> change) =>
        Weights(Colours.WithKeys(ml, rows), change);

    // By gradient descent, which makes no more of a difference in the last digit than it is.
    private float[] Weights(IDataView data, Action<WideNetImageClassifier.Options> change)
    {
        var options = Colours.Options();
        (options.Epochs, options.Threads, options.Optimizer, options.LearningRate) = (2, 1, OptimizerKind.Sgd, 0.05);
        change(options);
        using var model = Colours.Trainer(ml, options).Fit(data);
        return [.. model.Model.parameters().SelectMany(parameter => parameter.data<float>().ToArray())];
    }

    private static void AssertClose(float[] wanted, float[] found, string what) =>
        Assert.IsLessThan(2e-4, Difference(wanted, found), what);

    private static double Difference(float[] wanted, float[] found) => wanted.Zip(found, (a, b) => Math.Abs(a - b)).Max();
}

using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

/// <summary>Data that come in another order in another pass, where images are told apart by the number of their row.</summary>
[TestClass]
public sealed class RowOrderTests
{
    private readonly MLContext ml = new(seed: 1);

    [TestMethod]
    [DataRow(0.25, false)]
    [DataRow(0.25, true)]
    [DataRow(0, false)]
    [DataRow(0, true)]
    public void AnotherOrderInALaterPass_IsRefused_WithTheReason(double validationFraction, bool withinAClass)
    {
        var passes = 0;
        var changing = Rows(rows =>
        {
            var later = passes++ > 0;
            return withinAClass ? [.. rows.OrderBy(row => row.Label, StringComparer.Ordinal).ThenBy(row => later ? -row.Id : row.Id)] : later ? Rotate(rows) : rows;
        });

        var message = Assert.ThrowsExactly<InvalidOperationException>(() => Fit(changing, options => options.ValidationFraction = validationFraction)).Message;

        StringAssert.Contains(message, "The rows of the training data come in another order than in the first pass over them: row 0, counted from 0, ");
        StringAssert.Contains(message, "CacheInMemory");
        StringAssert.Contains(message, withinAClass ? "is the one that was row " : "has the key ");
    }

    [TestMethod]
    public void AnotherOrderOfValidationData_AndOfUnlabelledImages_IsRefusedToo()
    {
        var (first, second) = (0, 0);
        var held = Rows(rows => first++ == 0 ? rows : Rotate(rows));
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => Colours.Trainer(ml, Streaming(_ => { })).Fit(Rows(rows => rows), held)).Message, "The rows of the validation data come in another order");

        var unlabelled = Rows(rows => second++ == 0 ? rows : Rotate(rows));
        var message = Assert.ThrowsExactly<InvalidOperationException>(() => Fit(
            Rows(rows => rows), options => options.Pretraining = new MoCoPretraining { UnlabeledData = unlabelled, Epochs = 1, BatchSize = 16, HiddenWidth = 8, OutputWidth = 8 })).Message;
        StringAssert.Contains(message, "The rows of the unlabelled data come in another order than in the first pass over them: row 0, counted from 0, is the one that was row 1.");
    }

    [TestMethod]
    public void AnotherOrderOfDataThatAreInMemory_IsNeverSeen()
    {
        var passes = 0;
        using var model = Fit(Rows(rows => passes++ % 2 == 0 ? rows : Rotate(rows)), options => options.CacheInMemory = true);
        Assert.AreEqual(1, passes);
    }

    [TestMethod]
    public void ImagesThatChangeFromPassToPassWhereTheyAre_AreNoOtherOrder()
    {
        var passes = 0;
        var augmented = Rows(rows =>
        {
            passes++;
            foreach (var row in rows)
                row.Features[5] += passes;
            return rows;
        });
        using var model = Fit(augmented, options => options.ValidationFraction = 0.25);
        Assert.IsGreaterThan(3, passes);
        Assert.HasCount(2, model.History);
    }

    [TestMethod]
    public void RowsThatAreAddedAtTheEnd_AreLeftOut_AndTheSameRowTwiceIsAtBothPlaces()
    {
        var passes = 0;
        var growing = Rows(rows =>
        {
            rows[7] = rows[3];
            return passes++ == 0 ? rows : [.. rows, .. Colours.Rows(5, seed: 9)];
        });
        using var model = Fit(growing, options => options.ValidationFraction = 0.25);
        Assert.AreEqual((45, 15), (model.Training!.TrainingImages, model.Training.ValidationImages));
    }

    private static List<ColourRow> Rotate(List<ColourRow> rows) => [.. rows.Skip(1), rows[0]];

    private ImageClassificationTransformer Fit(IDataView data, Action<WideNetImageClassifier.Options> change) => Colours.Trainer(ml, Streaming(change)).Fit(data);

    private static WideNetImageClassifier.Options Streaming(Action<WideNetImageClassifier.Options> change)
    {
        var options = Colours.Options();
        (options.CacheInMemory, options.Epochs, options.ShufflePoolSize) = (false, 2, 10);
        change(options);
        return options;
    }

    // Made anew for each pass: the keys' values are known, so that nothing but the training reads them.
    private IDataView Rows(Func<List<ColourRow>, List<ColourRow>> order)
    {
        var names = ml.Data.LoadFromEnumerable(Colours.Names.Select(name => new Name { Label = name }));
        var rows = ml.Data.LoadFromEnumerable(Enumerable.Range(0, 1).SelectMany(_ => order(Colours.Rows(60))));
        return ml.Transforms.Conversion.MapValueToKey("Label", keyData: names).Fit(rows).Transform(rows);
    }

    private sealed class Name
    {
        public string? Label { get; set; }
    }
}

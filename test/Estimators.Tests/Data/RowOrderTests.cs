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
            return withinAClass ? [.. rows.OrderBy(row => row.Label, StringComparer.Ordinal).ThenBy(row => later ? -row.Id : row.Id)]
                : later ? Rotate(rows)
                : rows;
        });

        var message = Assert
            .ThrowsExactly<InvalidOperationException>(() => Fit(changing, options => options.ValidationFraction = validationFraction))
            .Message;

        StringAssert.Contains(
            message, "The rows of the training data come in another order than in the first pass over them: row 0, counted from 0, ");
        StringAssert.Contains(message, "CacheInMemory");
        StringAssert.Contains(message, withinAClass ? "is the one that was row " : "has the key ");
    }

    [TestMethod]
    public void AnotherOrderOfValidationData_AndOfUnlabelledImages_IsRefusedToo()
    {
        var (first, second) = (0, 0);
        var held = Rows(rows => first++ == 0 ? rows : Rotate(rows));
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() => Colours.Trainer(ml, Streaming(_ => { })).Fit(Rows(rows => rows), held))
                .Message,
            "The rows of the validation data come in another order");

        var unlabelled = Rows(rows => second++ == 0 ? rows : Rotate(rows));
        var message = Assert
            .ThrowsExactly<InvalidOperationException>(() => Fit(Rows(rows => rows), options => options.Pretraining = new MoCoPretraining
            {
                UnlabeledData = unlabelled,
                Epochs = 1,
                BatchSize = 16,
                HiddenWidth = 8,
                OutputWidth = 8,
            }))
            .Message;
        StringAssert.Contains(
            message,
            "The rows of the unlabelled data come in another order than in the first pass over them: row 0, counted from 0, is the one "
                + "that was row 1.");
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
    public void ARowThatCanBeReadOnlyLater_AndHoldsAnothersImage_IsLeftOut()
    {
        var passes = 0;
        var mended = Rows(rows =>
        {
            (rows[9].Features, rows[9].Label) = ([.. rows[3].Features], rows[3].Label);
            if (passes++ == 0)
                rows[9].Features[0] = float.NaN;
            return rows;
        });
        using var model = Fit(mended, options => options.ValidationFraction = 0.25);
        Assert.IsGreaterThan(3, passes);
        Assert.AreEqual(1, model.Training!.UnreadableImages);
    }

    [TestMethod]
    public void AMirrorAtRandom_WhereTheDataHoldMirroredImages_IsNoOtherOrder()
    {
        var random = new Random(4);
        var passes = 0;
        var mirrored = Rows(rows =>
        {
            for (var pair = 0; pair + 1 < rows.Count; pair += 2)
                (rows[pair + 1].Features, rows[pair + 1].Label) = (Mirror(rows[pair].Features), rows[pair].Label);
            if (passes++ > 0)
            {
                foreach (var row in rows.Where(_ => random.Next(2) == 0).ToArray())
                    row.Features = Mirror(row.Features);
            }
            return rows;
        });
        using var model = Fit(mirrored, options => options.ValidationFraction = 0.25);
        Assert.IsGreaterThan(3, passes);

        static float[] Mirror(float[] image) => [.. image.Chunk(8).SelectMany(line => line.Reverse())];
    }

    [TestMethod]
    public void AFewRowsThatChangePlacesWithinAClass_AreRefusedAtTheEndOfThePass()
    {
        var passes = 0;
        var swapped = Rows(rows =>
        {
            if (passes++ > 0)
            {
                var alike = rows.Where(row => row.Label == rows[0].Label).Take(2).ToArray();
                (alike[0].Features, alike[1].Features) = (alike[1].Features, alike[0].Features);
            }
            return rows;
        });
        var message = Assert
            .ThrowsExactly<InvalidOperationException>(() => Fit(swapped, options => options.ValidationFraction = 0.25))
            .Message;
        StringAssert.Contains(message, "row 0, counted from 0, is the one that was row ");
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

    private ImageClassificationTransformer Fit(IDataView data, Action<WideNetImageClassifier.Options> change) =>
        Colours.Trainer(ml, Streaming(change)).Fit(data);

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

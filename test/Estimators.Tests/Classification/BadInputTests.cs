using System.Globalization;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>Every mistake is named, with what was found and what is wanted.</summary>
[TestClass]
public sealed class BadInputTests
{
    private readonly MLContext ml = new(seed: 1);

    private static IEnumerable<(Action<WideNetImageClassifier.Options> Change, string Message)> BadOptions =>
        [
            (o => o.LabelColumnName = "", "LabelColumnName is empty"),
            (o => o.FeatureColumnName = " ", "FeatureColumnName is empty"),
            (o => o.ScoreColumnName = null!, "ScoreColumnName is empty"),
            (o => o.PredictedLabelColumnName = "Score", "ScoreColumnName and PredictedLabelColumnName are both 'Score'"),
            (o => o.ImageHeight = 0, "ImageHeight is 0; it must be at least 1"),
            (o => o.ImageWidth = -8, "ImageWidth is -8; it must be at least 1"),
            (o => o.Channels = 0, "Channels is 0; it must be at least 1"),
            (
                o => (o.ImageHeight, o.ImageWidth) = (10, 8),
                "The image is 8×10 pixels and PatchSize is 4; both sides must be multiples of it"),
            (o => o.PatchSize = 0, "PatchSize is 0; it must be at least 1"),
            (o => o.Alter(a => a with { Width = 15 }), "Width is 15 and Heads is 2"),
            (o => o.Alter(a => a with { Heads = 0 }), "Heads is 0; it must be at least 1"),
            (o => o.Alter(a => a with { Blocks = 0 }), "Blocks is 0; it must be at least 1"),
            (o => o.Alter(a => a with { Experts = -1 }), "Experts is -1; it must be at least 0"),
            (o => o.Alter(a => a with { ExpertsPerToken = 5 }), "ExpertsPerToken is 5"),
            (o => o.Alter(a => a with { ExpertsPerToken = 0 }), "ExpertsPerToken is 0"),
            (o => o.Alter(a => a with { ExpertWidth = 0 }), "ExpertWidth is 0; it must be at least 1"),
            (
                o => o.Alter(a => a with { TrainingCapacity = (a.TrainingCapacity ?? ExpertCapacity.VMoe) with { Factor = 0.5 } }),
                "capacity factor is 0.5"),
            (o => o.BalanceLossWeight = -0.01, "BalanceLossWeight is -0.01"),
            (o => o.Alter(a => a with { RouterNoise = -1 }), "-1"),
            (o => o.Alter(a => a with { RoutingGroups = 2 }), "RoutingGroups is 2; it must divide Blocks (3)"),
            (o => o.Alter(a => a with { Dropout = 1 }), "Dropout is 1; it must be at least 0 and below 1"),
            (o => o.Alter(a => a with { DropPath = 1 }), "DropPath is 1; it must be at least 0 and below 1"),
            (o => o.Epochs = 0, "Epochs is 0; it must be"),
            (o => o.BatchSize = 0, "BatchSize is 0; it must be at least 1"),
            (o => o.GradientAccumulation = 0, "GradientAccumulation is 0; it must be"),
            (o => o.LearningRate = -1e-3, "LearningRate is -0.001; it must be"),
            (o => o.LearningRate = double.NaN, "LearningRate is NaN; it must be"),
            (o => o.FinalLearningRate = -1, "FinalLearningRate is -1; it must be"),
            (o => o.LearningRateDecay = (LearningRateDecay)7, "LearningRateDecay is 7; it must be one of Cosine, Linear, Constant"),
            (o => o.WarmupFraction = 1.5, "WarmupFraction is 1.5; it must be between 0 and 1"),
            (o => o.WeightDecay = -0.1, "WeightDecay is -0.1; it must be"),
            (o => o.GradientClipNorm = 0, "GradientClipNorm is 0; it must be"),
            (o => o.LabelSmoothing = 1, "LabelSmoothing is 1; it must be at least 0 and below 1"),
            (o => o.RandomCropPadding = -1, "RandomCropPadding is -1; it must be at least 0"),
            (o => o.Mixup = -0.2, "Mixup is -0.2; it must be"),
            (o => o.CutMix = double.NaN, "CutMix is NaN; it must be"),
            (o => o.MixupProbability = 1.5, "MixupProbability is 1.5; it must be between 0 and 1"),
            (o => o.RandomResizedCropScale = 0, "RandomResizedCropScale is 0; it must be"),
            (o => o.RandomResizedCropScale = 1.5, "RandomResizedCropScale is 1.5; it must be between 0 and 1"),
            (o => (o.RandomResizedCropScale, o.RandomCropPadding) = (0.5, 2), "RandomResizedCropScale is 0.5 and RandomCropPadding is 2"),
            (o => o.ColorJitter = -0.4, "ColorJitter is -0.4; it must be"),
            (o => o.RandAugmentOperations = -1, "RandAugmentOperations is -1; it must be at least 0"),
            (o => o.RandAugmentMagnitude = 15.5, "RandAugmentMagnitude is 15.5; it must be between 0 and 15"),
            (o => (o.AlternatingFlips, o.HorizontalFlip) = (true, false), "AlternatingFlips is true and HorizontalFlip is false"),
            (o => o.ScoringViews = (ScoringViews)7, "ScoringViews is 7; it must be one of One, Mirrored, MirroredAndShifted"),
            (
                o => (o.ScoringViews, o.ImageHeight, o.ImageWidth, o.PatchSize) = (ScoringViews.MirroredAndShifted, 1, 8, 1),
                "ScoringViews is MirroredAndShifted, but the images are 8×1"),
            (
                o => o.ClassWeights = new Dictionary<string, double> { ["red"] = -1 },
                "ClassWeights of 'red' is -1; it must be a finite number of at least 0"),
            (o => o.ClassWeights = new Dictionary<string, double> { ["red"] = double.NaN }, "ClassWeights of 'red' is NaN"),
            (o => o.ClassWeights = new Dictionary<string, double> { ["red"] = 0 }, "ClassWeights has 0 for all 1 classes that it names"),
            (o => o.ClassBalancing = (ClassBalancing)7, "ClassBalancing is 7; it must be one of None, Weights, Sampling"),
            (o => o.ExampleWeightColumnName = " ", "ExampleWeightColumnName is empty"),
            (o => o.RandomErasing = -0.25, "RandomErasing is -0.25; it must be between 0 and 1"),
            (o => o.ValidationFraction = 1, "ValidationFraction is 1; it must be at least 0 and below 1"),
            (o => o.EarlyStopping = new EarlyStopping { Patience = 0 }, "Patience is 0"),
            (o => o.Threads = 0, "Threads is 0; it must be at least 1"),
            (o => o.LookAhead = 0, "LookAhead is 0; it must be at least 1"),
            (o => o.CacheLimit = -1, "CacheLimit is -1; it must be at least 0"),
            (o => o.ShufflePoolSize = 0, "ShufflePoolSize is 0; it must be at least 1"),
            (o => o.PredictionBatchSize = 0, "PredictionBatchSize is 0; it must be at least 1"),
            (o => o.Precision = (Precision)7, "Precision is 7; it must be one of Auto, Float32, BFloat16"),
            (o => o.Monitor = (MonitoredQuantity)7, "Monitor is 7"),
            (o => o.Resizing = (Microsoft.ML.Transforms.Image.ImageResizingEstimator.ResizingKind)7, "Resizing is 7"),
        ];

    [TestMethod]
    public void OptionsOutOfRange_AreRefusedBeforeAnyDataAreRead()
    {
        foreach (var (change, message) in BadOptions)
        {
            var options = Colours.Options();
            change(options);
            var error = Assert.ThrowsExactly<ArgumentException>(
                () => ml.MulticlassClassification.Trainers.WideNetImageClassifier(options), message);
            StringAssert.Contains(error.Message, message);
        }
        Assert.ThrowsExactly<ArgumentNullException>(() =>
            ml.MulticlassClassification.Trainers.WideNetImageClassifier((WideNetImageClassifier.Options)null!));
    }

    [TestMethod]
    public void MissingColumns_AreNamed()
    {
        var data = Colours.WithKeys(ml, Colours.Rows(5));
        Fails<ArgumentException>(data, o => o.FeatureColumnName = "Pixels", "Could not find feature column 'Pixels'");
        Fails<ArgumentException>(data, o => o.LabelColumnName = "Class", "Could not find label column 'Class'");
    }

    [TestMethod]
    public void ColumnsOfTheWrongType_AreNamed_InGetOutputSchemaToo()
    {
        var data = Colours.WithKeys(ml, Colours.Rows(5));
        Fails<ArgumentException>(
            data,
            o => o.FeatureColumnName = "Id",
            "feature column 'Id': expected an image (MLImage), or a known-size vector of Single or Byte, got Int32");
        Fails<ArgumentException>(
            data, o => o.LabelColumnName = "Id", "label column 'Id': expected Key<UInt32> (append MapValueToKey(\"Id\")), got Int32");
        Fails<ArgumentException>(ml.Data.LoadFromEnumerable(Colours.Rows(5)), _ => { }, "label column 'Label': expected Key<UInt32>");

        // A pipeline checks its schema before it reads anything.
        var read = false;
        var unread = ml.Data.LoadFromEnumerable(Colours.Rows(5).Select(r =>
        {
            read = true;
            return r;
        }));
        var options = Colours.Options();
        options.FeatureColumnName = "Id";
        Assert.Throws<ArgumentException>(() =>
            ml.Transforms.CopyColumns("Copy", "Id").Append(ml.MulticlassClassification.Trainers.WideNetImageClassifier(options)).Fit(unread));
        Assert.IsFalse(read);
    }

    [TestMethod]
    public void WeightsThatCannotBe_AreNamed()
    {
        var rows = Enumerable.Range(0, 40).Zip(Colours.Rows(40), (_, row) => WeightedRow.Of(row, 1)).ToArray();
        Fails(name: "Id", "weight column 'Id': expected Single, got Int32");
        Fails(name: "Features", "weight column 'Features': expected Single, got Vector<Single, 3, 8, 8>");
        Fails(name: "Importance", "Could not find weight column 'Importance'");
        foreach (var bad in new[] { -0.5f, float.NaN, float.PositiveInfinity })
        {
            rows[7].Weight = bad;
            Fails(name: "Weight", $"Row 7, counted from 0, has the weight {bad.ToString(CultureInfo.InvariantCulture)} in column 'Weight'");
        }
        foreach (var row in rows)
            row.Weight = 0;
        Fails(name: "Weight", "images to train on have the weight 0, by column 'Weight'; at least one above 0 is wanted.");

        // What a pipeline asks before it reads anything.
        var data = Colours.WithKeys(ml, rows);
        var options = Colours.Options();
        options.ExampleWeightColumnName = "Id";
        StringAssert.Contains(
            Assert.Throws<ArgumentException>(() =>
                ml.Transforms.CopyColumns("Copy", "Id").Append(Colours.Trainer(ml, options)).Fit(data)).Message,
            "weight column 'Id': expected Single, got Int32");

        // Of a row without a label nobody asks for the weight.
        rows[7].Weight = float.NaN;
        (rows[7].Label, rows[8].Weight) = (null, 1);
        options.ExampleWeightColumnName = "Weight";
        options.Epochs = 1;
        Colours.Trainer(ml, options).Fit(Colours.WithKeys(ml, rows)).Dispose();

        void Fails(string name, string message)
        {
            var options = Colours.Options();
            options.ExampleWeightColumnName = name;
            var trainer = Colours.Trainer(ml, options);
            StringAssert.Contains(Assert.Throws<Exception>(() => trainer.Fit(Colours.WithKeys(ml, rows))).Message, message);
        }
    }

    [TestMethod]
    public void ClassWeightsThatCannotBe_AreNamed()
    {
        var data = Colours.WithKeys(ml, Colours.Rows(40));
        Fails<ArgumentException>(
            data,
            o => o.ClassWeights = new Dictionary<string, double> { ["purple"] = 2 },
            "ClassWeights has 'purple', which is none of the 4 classes of column 'Label': 'blue', 'green', 'red', 'white'.");
        Fails<InvalidOperationException>(
            data,
            o => o.ClassWeights = new Dictionary<string, double> { ["red"] = 0, ["green"] = 1, ["white"] = 0 },
            "have the weight 0, by ClassWeights; at least one above 0 is wanted.",
            ml.Data.FilterRowsByKeyColumnFraction(data, "Label", 0.5, 1));
    }

    [TestMethod]
    public void ImagesOfAnotherShape_AreNamed()
    {
        var data = Colours.WithKeys(ml, Colours.Rows(5));
        Fails<ArgumentException>(
            data,
            o => (o.ImageHeight, o.ImageWidth) = (16, 16),
            "'Features' holds images of 8×8 with 3 channels, but the options ask for 16×16");
        Fails<ArgumentException>(data, o => o.Channels = 1, "with 1 channels");
        Fails<ArgumentException>(data, o => o.PatchSize = 3, "The image is 8×8 pixels and PatchSize is 3");
        Fails<ArgumentException>(
            Colours.WithKeys(ml, Colours.Pictures(5)),
            o => (o.Channels, o.ImageHeight, o.ImageWidth) = (4, 8, 8),
            "Channels is 4; for a column of pictures ('Features') it must be 1 (grey) or 3 (colour)");
    }

    [TestMethod]
    public void NoRows_OrNoUsableOnes_IsAnError()
    {
        Fails<InvalidOperationException>(
            Colours.WithKeys(ml, Colours.Rows(5)),
            _ => { },
            "The training data have no rows.",
            ml.Data.SkipRows(Colours.WithKeys(ml, Colours.Rows(5)), 5));

        var rows = Colours.Rows(5);
        rows.ForEach(row => row.Features[0] = float.NaN);
        Fails<InvalidOperationException>(
            Colours.WithKeys(ml, rows), _ => { }, "The training data have no usable rows: 5 have no readable image in column 'Features'.");
    }

    [TestMethod]
    public void OneClass_IsAnError()
    {
        var one = Colours.Rows(40).Where(r => r.Label == "red").ToList();
        Fails<ArgumentException>(Colours.WithKeys(ml, one), _ => { }, "Column 'Label' has 1 class; a classifier needs at least 2.");

        // Four classes in the key, one of them in the rows.
        var all = Colours.WithKeys(ml, Colours.Rows(40));
        Fails<InvalidOperationException>(
            all, _ => { }, "have the same label (key 1 of column 'Label')", ml.Data.FilterRowsByKeyColumnFraction(all, "Label", 0, 0.25));
    }

    [TestMethod]
    public void AValidationFractionThatCanSetNothingApart_IsAnError()
    {
        var rows = Colours.Rows(2);
        (rows[0].Label, rows[1].Label) = ("red", "blue");
        var data = Colours.WithKeys(ml, rows);
        Fails<InvalidOperationException>(
            data,
            o => o.ValidationFraction = 0.4,
            "ValidationFraction is 0.4, but none of the 2 classes has two usable rows");
    }

    [TestMethod]
    public void ValidationData_MustHaveTheSameClassesAndShape()
    {
        var training = Colours.WithKeys(ml, Colours.Rows(40));
        var trainer = ml.MulticlassClassification.Trainers.WideNetImageClassifier(Colours.Options());
        var three = Colours.WithKeys(ml, Colours.Rows(40).Where(r => r.Label != "red"));
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => trainer.Fit(training, three)).Message,
            "3 classes in the validation data and 4 in the training data");

        var renamed = Colours.Rows(40);
        renamed.ForEach(r => r.Label = r.Label == "red" ? "rot" : r.Label);
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => trainer.Fit(training, Colours.WithKeys(ml, renamed))).Message,
            "[blue, green, rot, white] in the validation data and [blue, green, red, white] in the training data");

        // A key without names could be anything.
        var nameless = ml.Data.LoadFromEnumerable(
            Colours.Rows(40).Select(row => new NamelessKeyRow { Features = row.Features, Label = 1 }));
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => trainer.Fit(training, nameless)).Message,
            "'Label' has names for its classes only in the training data");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => trainer.Fit(nameless, training)).Message,
            "'Label' has names for its classes only in the validation data");
        StringAssert.Contains(
            Assert.Throws<ArgumentException>(() => trainer.Fit(training, Colours.WithKeys(ml, Colours.Pictures(40)))).Message,
            "expected Vector<Single, 3, 8, 8>, got Image<12, 10>");
        Assert.ThrowsExactly<ArgumentNullException>(() => trainer.Fit(training, null!));
        Assert.Throws<InvalidOperationException>(() => trainer.Fit(training, ml.Data.SkipRows(training, 40)));
    }

    [TestMethod]
    public void AVectorOfAnotherLength_IsAnError_ThatNamesBoth()
    {
        var rows = Colours.Rows(20);
        using var model = ml.MulticlassClassification.Trainers.WideNetImageClassifier(Colours.Options()).Fit(Colours.WithKeys(ml, rows));
        rows[7].Features = rows[7].Features[..10];
        const string Expected = "a vector of 10 numbers in column 'Features'; the model's images (8×8 with 3 channels) have 192.";
        Fails<InvalidOperationException>(Colours.WithKeys(ml, rows), o => o.Epochs = 1, Expected);
        Fails<InvalidOperationException>(Colours.WithKeys(ml, rows), o => o.CacheInMemory = false, Expected);
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() =>
                    model.Transform(ml.Data.LoadFromEnumerable(rows)).GetColumn<float[]>("Score").ToArray())
                .Message,
            Expected);
        using var engine = ml.Model.CreatePredictionEngine<ColourRow, ScoreOnly>(model);
        Assert.HasCount(4, engine.Predict(rows[6]).Score);
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => engine.Predict(rows[7])).Message, Expected);
        Assert.HasCount(4, engine.Predict(rows[8]).Score, "the next row is scored");
    }

    [TestMethod]
    public void EarlyStoppingWithoutValidation_IsAnError() =>
        Fails<InvalidOperationException>(
            Colours.WithKeys(ml, Colours.Rows(5)),
            o => o.EarlyStopping = new EarlyStopping(),
            "pass validation data to Fit, or set ValidationFraction above 0");

    [TestMethod]
    public void AGpuThatIsMissing_IsAnError_UnlessTheCpuMayStandIn()
    {
        var data = Colours.WithKeys(ml, Colours.Rows(40));
        var options = Colours.Options();
        options.Epochs = 1;
        var strict = new MLContext(seed: 1) { GpuDeviceId = 99, FallbackToCpu = false };
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() =>
                    strict.MulticlassClassification.Trainers.WideNetImageClassifier(options).Fit(data))
                .Message,
            "MLContext.GpuDeviceId is 99");

        var lenient = new MLContext(seed: 1) { GpuDeviceId = 99, FallbackToCpu = true };
        using var model = lenient.MulticlassClassification.Trainers.WideNetImageClassifier(options).Fit(data);
        Assert.IsNotNull(model.Training);
    }

    private void Fails<T>(IDataView schemaSource, Action<WideNetImageClassifier.Options> change, string message, IDataView? data = null)
        where T : Exception
    {
        var options = Colours.Options();
        change(options);
        var error = Assert.Throws<T>(() => ml.MulticlassClassification.Trainers.WideNetImageClassifier(options).Fit(data ?? schemaSource));
        StringAssert.Contains(error.Message, message);
    }

    private sealed class ScoreOnly
    {
        public float[] Score { get; set; } = [];
    }
}

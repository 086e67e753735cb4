using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Estimators.Tests.Generalists;

[TestClass]
public sealed class UniPerceiverGeneralistTests
{
    private static readonly MLContext Ml = new(seed: 1);
    private static GeneralistTransformer model = null!;

    [ClassInitialize]
    public static void Train(TestContext _)
    {
        string[] tasks = [.. Toys.All.Select(task => task.Name)];
        model = Ml.Transforms.UniPerceiverGeneralist(Toys.Options(tasks)).Fit(Toys.View(Ml, Toys.Rows(tasks, 64, seed: 1)));
    }

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    [DataRow("colour")]
    [DataRow("film")]
    [DataRow("mood")]
    [DataRow("pair")]
    public void Classes_AreTold_AndStockEvaluateWorks(string task)
    {
        var accuracy = Toys.Accuracy(Ml, model.ForTask(task), Toys.Rows(task, 100, seed: 2));
        Assert.IsGreaterThan(task == "pair" ? 0.7 : 0.9, accuracy, task);
    }

    [TestMethod]
    public void PredictedLabels_HaveTheirNames()
    {
        var scored = model.ForTask("mood").Transform(Toys.View(Ml, Toys.Rows("mood", 20, seed: 2)));
        var named = Ml.Transforms.Conversion.MapKeyToValue("Class", "PredictedLabel").Fit(scored).Transform(scored);
        Assert.IsTrue(named.GetColumn<string>("Class").All(Toys.Moods.Contains));
        VBuffer<ReadOnlyMemory<char>> slots = default;
        scored.Schema["Score"].GetSlotNames(ref slots);
        CollectionAssert.AreEqual(Toys.Moods, slots.DenseValues().Select(name => name.ToString()).ToArray());
        Assert.IsTrue(scored.GetColumn<float[]>("Score").All(row => Math.Abs(row.Sum() - 1) < 1e-5));
    }

    [TestMethod]
    [DataRow("find")]
    [DataRow("find film")]
    public void WhatBelongsTogether_IsNearest(string task)
    {
        var rows = Toys.Rows(task, 40, seed: 2);
        var metrics = model.ForTask(task).EvaluateRetrieval(Toys.View(Ml, rows));
        Assert.AreEqual((40, 4), (metrics.Pictures, metrics.Texts));
        Assert.IsGreaterThan(0.8, metrics.TextRecall.At1);
        Assert.IsGreaterThan(0.7, metrics.PictureRecall.At1);
        Assert.AreEqual(1, metrics.TextRecall.At5);

        // The columns that it is computed from: one for each of the two that are there.
        var both = model.ForTask(task).Transform(Toys.View(Ml, rows));
        Assert.IsTrue(both.GetColumn<float[]>("PictureEmbedding").All(vector => Math.Abs(vector.Sum(x => x * x) - 1) < 1e-4));
        var texts = Ml.Transforms.SelectColumns("Text").Fit(both).Transform(Toys.View(Ml, rows));
        CollectionAssert.AreEqual(
            both.GetColumn<float[]>("TextEmbedding").First(),
            model.ForTask(task).Transform(texts).GetColumn<float[]>("TextEmbedding").First());
        Assert.IsNull(model.ForTask(task).GetOutputSchema(texts.Schema).GetColumnOrNull("PictureEmbedding"));
    }

    [TestMethod]
    [DataRow("caption")]
    [DataRow("film caption")]
    public void Pictures_AreDescribed(string task)
    {
        var rows = Toys.Rows(task, 30, seed: 2);
        var described = model.ForTask(task).Transform(Toys.View(Ml, rows)).GetColumn<string>("PredictedText").ToArray();
        Assert.IsGreaterThan(24, described.Zip(rows).Count(pair => pair.First == pair.Second.Text), string.Join(", ", described));

        var metrics = model.ForTask(task).EvaluateCaptions(Toys.View(Ml, rows));
        Assert.AreEqual(30, metrics.Pictures);
        Assert.IsTrue(metrics.Bleu1 is > 0.8 and <= 1);
        Assert.AreEqual(0, metrics.Bleu4, "three words");
        Assert.IsGreaterThan(0.9, metrics.Tokens.Accuracy);
        Assert.IsLessThan(2, metrics.Tokens.Perplexity);
    }

    [TestMethod]
    public void Words_ArePredicted()
    {
        var (masked, next) = (model.ForTask("masked"), model.ForTask("next"));
        var metrics = masked.EvaluateTokens(Toys.View(Ml, Toys.Rows("masked", 60, seed: 2)));
        Assert.IsGreaterThan(60 - 1, metrics.Tokens);
        Assert.IsGreaterThan(0.4, metrics.Accuracy, "chance is below 0.01");
        Assert.AreEqual(Math.Exp(metrics.Loss), metrics.Perplexity, 1e-9);
        Assert.AreEqual(
            metrics, masked.EvaluateTokens(Toys.View(Ml, Toys.Rows("masked", 60, seed: 2))), "the same tokens are masked each time");
        Assert.IsGreaterThan(0.5, next.EvaluateTokens(Toys.View(Ml, Toys.Rows("next", 60, seed: 2))).Accuracy);

        var filled = masked.Transform(
            Toys.View(
                Ml,
                [
                    new GeneralistRow { Text = "the [MASK] is happy" },
                    new GeneralistRow { Text = "the rain [MASK] sad" },
                    new GeneralistRow { Text = "no mask" },
                    new GeneralistRow(),
                ]));
        var texts = filled.GetColumn<string>("PredictedText").ToArray();
        Assert.AreEqual("the rain is sad", texts[1]);
        Assert.AreEqual(("no mask", ""), (texts[2], texts[3]));
        Assert.IsTrue(
            texts[0].StartsWith("the", StringComparison.Ordinal) && texts[0].EndsWith(" is happy", StringComparison.Ordinal), texts[0]);

        var continued = next.Transform(Toys.View(Ml, [new GeneralistRow { Text = "the cake is" }]))
            .GetColumn<string>("PredictedText")
            .Single();
        Assert.AreEqual(" happy", continued);
    }

    [TestMethod]
    public void OtherClasses_AreToldWithoutTraining_WhereAttributesRoute()
    {
        var test = Toys.Rows("colour", 100, seed: 2).Where(row => row.Label is "red" or "blue");
        var fewer = new GeneralistTask { Name = "another", Kind = GeneralistTaskKind.ImageClassification, ClassNames = ["blue", "red"] };

        Assert.IsGreaterThan(0.9, Toys.Accuracy(Ml, model.ForTask(fewer), test));
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => model.ForTask("another")).Message, "'another'");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => model.ForTask(fewer with { ClassNames = null })).Message, "ClassNames");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => model.ForTask(fewer with { ClassNames = [] })).Message, "at least 2");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => model.ForTask(fewer with { InputAttributes = ["Loud"] })).Message, "'Loud'");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() =>
                    model.ForTask(
                        new GeneralistTask
                        {
                            Name = "a",
                            Kind = GeneralistTaskKind.ImageCaption,
                            ClassNames = ["b", "c"],
                        }
                    ))
                .Message,
            "ClassNames");
    }

    [TestMethod]
    [DataRow(RoutingLevel.Task)]
    [DataRow(RoutingLevel.Modality)]
    [DataRow(RoutingLevel.Token)]
    [DataRow(RoutingLevel.Context)]
    [DataRow(null)]
    public void EveryRouter_Learns_AndOneByTaskTakesNoNewTask(RoutingLevel? level)
    {
        var options = Toys.Options("colour", "mood");
        options.Alter(a => a with { Block = a.Block with { RoutingLevel = level ?? default, Experts = level is null ? null : 4 } });
        using var routed = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(["colour", "mood"], 64, seed: 1)));

        Assert.IsGreaterThan(0.85, Toys.Accuracy(Ml, routed.ForTask("colour"), Toys.Rows("colour", 60, seed: 2)));
        Assert.IsGreaterThan(0.85, Toys.Accuracy(Ml, routed.ForTask("mood"), Toys.Rows("mood", 60, seed: 2)));
        var another = new GeneralistTask { Name = "another", Kind = GeneralistTaskKind.TextClassification, ClassNames = Toys.Moods };
        if (level == RoutingLevel.Task)
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => routed.ForTask(another)).Message, "'another'");
        else
            Assert.AreEqual("another", routed.ForTask(another).Task.Name);
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() =>
                    routed.ForTask(new GeneralistTask { Name = "film", Kind = GeneralistTaskKind.VideoCaption }))
                .Message,
            "Video");
    }

    [TestMethod]
    public void ARowWithoutItsInput_ScoresNaN()
    {
        var view = model.ForTask("mood").Transform(Toys.View(Ml, [new GeneralistRow { Text = "" }, new GeneralistRow { Text = "sun" }]));
        var scores = view.GetColumn<float[]>("Score").ToArray();
        Assert.IsTrue(scores[0].All(float.IsNaN));
        Assert.AreEqual(1, scores[1].Sum(), 1e-5);
        Assert.AreEqual(0u, view.GetColumn<uint>("PredictedLabel").First());

        var missing = new GeneralistRow { Features = [.. Enumerable.Repeat(float.NaN, 3 * 8 * 8)] };
        Assert.AreEqual("", model.ForTask("caption").Transform(Toys.View(Ml, [missing])).GetColumn<string>("PredictedText").Single());
        Assert.IsTrue(
            model.ForTask("find").Transform(Toys.View(Ml, [missing])).GetColumn<float[]>("PictureEmbedding").Single().All(float.IsNaN));
    }

    [TestMethod]
    public void OneRowAtATime_GivesTheSame()
    {
        var rows = Toys.Rows("colour", 9, seed: 2);
        var together = model.ForTask("colour").Transform(Toys.View(Ml, rows)).GetColumn<float[]>("Score").ToArray();
        using var engine = Ml.Model.CreatePredictionEngine<GeneralistRow, ScoredRow>(model.ForTask("colour"));
        for (var i = 0; i < rows.Count; i++)
        {
            var alone = engine.Predict(rows[i]).Score;
            for (var c = 0; c < 4; c++)
                Assert.AreEqual(together[i][c], alone[c], 1e-4);
        }
    }

    [TestMethod]
    public void WhatIsNotAskedFor_IsNotComputed()
    {
        var before = model.Scorer.ScoringCount;
        var scored = model.ForTask("caption").Transform(Toys.View(Ml, Toys.Rows("caption", 10, seed: 2)));
        Assert.AreEqual(10, scored.GetColumn<string>("Text").Count());
        Assert.AreEqual(before + 1, model.Scorer.ScoringCount, "the check that the model knows the task");
    }

    [TestMethod]
    public void ManyTasksOfTheSameAttributes_TakeNoMoreMemoryThanOne_AndManyOthersNotForGood()
    {
        var view = Toys.View(Ml, Toys.Rows("mood", 2, seed: 2));
        var mood = model.ForTask("mood").Task;
        var expected = Score(mood);
        var before = LiveTensors.Count();
        for (var i = 0; i < 30; i++)
            Assert.AreSequenceEqual(expected, Score(mood with { Name = $"mood {i}" }));
        Assert.AreEqual(before, Tensor.TotalCount, "the names of the classes are encoded once");

        for (var i = 0; i < 30; i++)
            Assert.HasCount(2, Score(mood with { ClassNames = ["good", $"bad {i}"] }));
        Assert.IsLessThanOrEqualTo(before + 16, Tensor.TotalCount);
        Assert.AreSequenceEqual(expected, Score(mood));

        float[] Score(GeneralistTask task) => model.ForTask(task).Transform(view).GetColumn<float[]>("Score").First();
    }

    [TestMethod]
    public void MetricsOfOtherKinds_AreRefused()
    {
        var view = Toys.View(Ml, Toys.Rows("colour", 4, seed: 2));
        var task = model.ForTask("colour");
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => task.EvaluateTokens(view)).Message, "'colour'");
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => task.EvaluateCaptions(view)).Message, "'colour'");
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => task.EvaluateRetrieval(view)).Message, "'colour'");
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => model.ForTask("caption").EvaluateCaptions(view)).Message,
            "no usable row");
    }

    [TestMethod]
    public void TheTransformerItself_AddsNothing_AndSaysSo()
    {
        var view = Toys.View(Ml, Toys.Rows("colour", 2, seed: 2));
        var transformed = model.Transform(view);
        Assert.AreSame(view.Schema, transformed.Schema);
        CollectionAssert.AreEqual(
            view.GetColumn<float[]>("Features").ToArray(),
            transformed.GetColumn<float[]>("Features").ToArray(),
            Comparer<float[]>.Create((a, b) => a.AsSpan().SequenceCompareTo(b)));
        CollectionAssert.AreEqual(Toys.All.Select(task => task.Name).ToArray(), model.Tasks.Select(task => task.Name).ToArray());
        Assert.AreEqual(64, model.Training!.Examples["pair"]);
        Assert.HasCount(20, model.History);
    }

    [TestMethod]
    public void Interference_IsMeasured_BlockByBlock()
    {
        string[] tasks = ["colour", "masked", "find film"];
        var found = model.MeasureInterference(
            [.. tasks.Select(task => (task, Toys.View(Ml, Toys.Rows(task, 20, seed: 2))))], batches: 3, batchSize: 8);
        CollectionAssert.AreEqual(new[] { 0, 1 }, found.Select(layer => layer.Block).ToArray());
        foreach (var layer in found)
        {
            CollectionAssert.AreEqual(tasks, layer.Tasks.ToArray());
            for (var task = 0; task < 3; task++)
                Assert.AreEqual((1.0, 3), (Math.Round(layer.RatioOfMeans[task][task], 5), layer.MeanOfRatios[task].Count));
        }
        Assert.ThrowsExactly<ArgumentException>(() =>
            model.MeasureInterference([("colour", Toys.View(Ml, Toys.Rows("colour", 4, seed: 2)))], batches: 1));
    }

    [TestMethod]
    public void ExpertActivation_IsMeasured_ByBlockTaskAndRole()
    {
        string[] tasks = ["colour", "film", "masked"];
        (string, IDataView)[] data = [.. tasks.Select(task => (task, Toys.View(Ml, Toys.Rows(task, 20, seed: 2))))];
        var found = model.MeasureExpertActivation(data, rows: 8);

        // One of two blocks has experts, two gates in it, two roles in a task.
        Assert.HasCount(2 * 2 * 3, found);
        Assert.IsTrue(
            found.All(one => one.Block == 0 && Math.Abs(one.Shares.Sum() - 1) < 1e-6 && Math.Abs(one.Frequencies.Sum() - 2) < 1e-6));
        CollectionAssert.AreEqual(
            new[]
            {
                ("colour", TokenModality.Image),
                ("colour", TokenModality.Text),
                ("film", TokenModality.Video),
                ("film", TokenModality.Text),
                ("masked", TokenModality.Text),
                ("masked", TokenModality.Text),
            },
            found.Where(one => one.Gate == BlockGate.FeedForward).Select(one => (one.Role.Task, one.Role.Modality)).ToArray());

        // Attributes decide, whatever the rows; an image and a video have the same.
        CollectionAssert.AreEqual(
            found.SelectMany(one => one.Shares).ToArray(),
            model.MeasureExpertActivation(data, rows: 3, seed: 5).SelectMany(one => one.Shares).ToArray());
        CollectionAssert.AreEqual(found[0].Shares.ToArray(), found[2].Shares.ToArray());
        Assert.ThrowsExactly<ArgumentException>(() => model.MeasureExpertActivation(data, rows: 0));
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => model.MeasureExpertActivation([("smell", data[0].Item2)])).Message, "'smell'");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => model.MeasureExpertActivation([])).Message, "no task");
    }

    [TestMethod]
    public void ExpertActivation_OfTokens_IsOfTheRowsThatAreTaken()
    {
        var options = Toys.Options("mood");
        options.Epochs = 2;
        options.Alter(a => a with { Block = a.Block with { RoutingLevel = RoutingLevel.Token } });
        using var routed = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows("mood", 16, seed: 1)));
        var rows = Toys.Rows("mood", 12, seed: 2);
        double[] Shares(IEnumerable<GeneralistRow> of, int most, int seed) =>
            [.. routed.MeasureExpertActivation([("mood", Toys.View(Ml, of))], most, seed).SelectMany(one => one.Shares)];

        CollectionAssert.AreEqual(Shares(rows, 4, 1), Shares(rows, 4, 1));
        CollectionAssert.AreNotEqual(Shares(rows, 4, 1), Shares(rows, 4, 2));
        foreach (var (one, other) in Shares(rows, 12, 1).Zip(Shares(rows, 100, 2)))
            Assert.AreEqual(one, other, 1e-6, "all rows, in another order");
    }

    [TestMethod]
    public void WhatIsWrongWithTheData_IsSaid()
    {
        var rows = Toys.Rows(["colour", "mood"], 8, seed: 1);
        Message(rows.Append(new GeneralistRow { Task = "smell", Label = "red" }), "'smell'");
        Message(rows.Where(row => row.Task == "mood"), "'colour'");
        Message(
            rows.Append(
                new GeneralistRow
                {
                    Task = "mood",
                    Text = "fog",
                    Label = "grey",
                }
            ),
            "'grey'");
        StringAssert.Contains(
            Assert
                .Throws<ArgumentException>(() =>
                    Fit(
                        Toys.Options("film"),
                        Ml.Data.LoadFromEnumerable([
                            new
                            {
                                Task = "film",
                                Label = "red",
                                Video = new float[4],
                            },
                        ])))
                .Message,
            "frames, height, width, channels");
        StringAssert.Contains(
            Assert
                .Throws<ArgumentException>(() =>
                    Fit(Toys.Options("mood"), Ml.Data.LoadFromEnumerable([new { Task = "mood", Text = "sun" }])))
                .Message,
            "Label");

        void Message(IEnumerable<GeneralistRow> changed, string part) =>
            StringAssert.Contains(
                Assert.ThrowsExactly<InvalidOperationException>(() => Fit(Toys.Options("colour", "mood"), Toys.View(Ml, changed))).Message,
                part);
    }

    [TestMethod]
    public void WhatIsWrongWithTheOptions_IsSaid()
    {
        Refused(options => options.Tasks = [], "Tasks");
        Refused(options => options.Tasks = [.. options.Tasks, .. options.Tasks], "'mood'");
        Refused(options => options.Tasks = [options.Tasks[0] with { InputAttributes = ["Loud"] }], "'Loud'");
        Refused(options => options.Tasks = [options.Tasks[0] with { SamplingRatio = 0 }], "SamplingRatio of task 'mood' is 0");
        Refused(options => options.Alter(a => a with { TextLength = 1 }), "TextLength is 1");
        Refused(options => options.MaskedFraction = 0, "MaskedFraction is 0");
        Refused(options => options.Beams = 0, "Beams is 0");
        Refused(options => options.TaskColumnName = "", "TaskColumnName");
        Refused(options => options.Checkpoints = new(" "), "Folder is empty");
        Refused(options => options.Alter(a => a with { Block = a.Block with { Heads = 5 } }), "Heads is 5");

        static void Refused(Action<UniPerceiverGeneralist.Options> change, string part)
        {
            var options = Toys.Options("mood");
            change(options);
            StringAssert.Contains(
                Assert.ThrowsExactly<ArgumentException>(() => Ml.Transforms.UniPerceiverGeneralist(options)).Message, part);
        }
    }

    [TestMethod]
    public void TooLongTexts_AreCut_AndCounted()
    {
        var log = new MLContext(seed: 1);
        var messages = new LogMessages(log);
        var rows = Toys.Rows("mood", 8, seed: 1);
        rows[0].Text = string.Concat(Enumerable.Repeat("sunny and rainy ", 30));
        rows[1].Text = "";
        var options = Toys.Options("mood");
        options.Epochs = 1;
        using var cut = log.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(log, rows));
        Assert.AreEqual((1L, 1L), (cut.Training!.CutTexts, cut.Training.UnusedRows));
        Assert.IsTrue(
            messages.All.Any(message => message.Contains("1 texts have more tokens than TextLength 24", StringComparison.Ordinal)));
        Assert.IsTrue(messages.All.Any(message => message.Contains("1 without a text", StringComparison.Ordinal)));
    }

    [TestMethod]
    public void Validation_KeepsTheBestEpoch()
    {
        var options = Toys.Options("mood", "colour");
        (options.Epochs, options.EarlyStopping) = (6, new Microsoft.ML.MoE.Training.EarlyStopping { Patience = 2 });
        var rows = Toys.Rows(["mood", "colour"], 32, seed: 1);
        using var validated = Ml
            .Transforms.UniPerceiverGeneralist(options)
            .Fit(Toys.View(Ml, rows), Toys.View(Ml, Toys.Rows(["mood", "colour"], 16, seed: 2)));
        Assert.IsTrue(validated.Training!.Training.BestWeightsRestored);
        Assert.IsTrue(validated.History.All(epoch => epoch.Validation is { MetricName: "MeanAccuracy" }));
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() => Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, rows)))
                .Message,
            "EarlyStopping");
    }

    private static GeneralistTransformer Fit(UniPerceiverGeneralist.Options options, IDataView data) =>
        Ml.Transforms.UniPerceiverGeneralist(options).Fit(data);
}

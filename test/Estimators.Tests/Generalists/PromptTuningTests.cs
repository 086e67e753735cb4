using System.Text.Json;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Weights;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Generalists;

[TestClass]
public sealed class PromptTuningTests
{
    // Colours by other words: what these say, the model has never learned.
    private static readonly GeneralistTask Renamed = new()
    {
        Name = "renamed",
        Kind = GeneralistTaskKind.ImageClassification,
        ClassNames = ["sad", "cake", "storm", "rain"],
    };
    private static readonly MLContext Ml = new(seed: 1);
    private static GeneralistTransformer model = null!;

    [ClassInitialize]
    public static void Train(TestContext _)
    {
        string[] tasks = ["colour", "mood"];
        model = Ml.Transforms.UniPerceiverGeneralist(Toys.Options(tasks)).Fit(Toys.View(Ml, Toys.Rows(tasks, 64, seed: 1)));
    }

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void AFewPrompts_LearnATask_AndLeaveTheModelAlone()
    {
        var before = Weights(model);
        var zeroShot = Toys.Accuracy(Ml, model.ForTask(Renamed), Rows(80, seed: 2));
        using var tuned = model.TunePrompts(
            Renamed, Toys.View(Ml, Rows(24, seed: 1)), new PromptTuningOptions { MaxSteps = 150, BatchSize = 24 });

        var accuracy = Toys.Accuracy(Ml, tuned.ForTask("renamed"), Rows(80, seed: 2));
        Assert.IsGreaterThan(zeroShot + 0.2, accuracy, $"from {zeroShot}");
        CollectionAssert.AreEqual(before, Weights(model));
        Assert.AreEqual(10, tuned.Model.Config.Prompts);

        // Nothing but prompts, <SPE> and LayerNorms differs.
        var theirs = model.Model.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter);
        foreach (var (name, parameter) in tuned.Model.named_parameters())
        {
            var changed = !theirs.TryGetValue(name, out var same) || !parameter.allclose(same, rtol: 0, atol: 0);
            Assert.AreEqual(PromptDelta.IsTuned(name), changed, name);
        }
    }

    [TestMethod]
    public void RowsLeftOutAndTextsCut_AreCountedAndSaid()
    {
        var log = new LogMessages(Ml);
        var rows = Toys.Rows("mood", 24, seed: 1);
        rows[3].Text = "";
        rows[5].Text = string.Join(' ', Enumerable.Repeat("sun", 60));
        using var tuned = model.TunePrompts(
            Toys.All.Single(task => task.Name == "mood"), Toys.View(Ml, rows), new PromptTuningOptions { MaxSteps = 2, Prompts = 2 });
        Assert.AreEqual((1L, 1L, 23), (tuned.Training!.UnusedRows, tuned.Training.CutTexts, tuned.Training.Examples["mood"]));
        StringAssert.Contains(
            log.TakeWarnings().Single(),
            "Of the rows of task 'mood' 1 are left out, because what the task asks for is missing or cannot be read; 1 have texts of more "
                + "tokens than the model's TextLength allows, which were cut off.");
    }

    [TestMethod]
    public void PromptsAreSaved_AndAppliedToTheirModel()
    {
        using var tuned = model.TunePrompts(Renamed, Toys.View(Ml, Rows(24, seed: 1)), new PromptTuningOptions { MaxSteps = 5, Prompts = 3 });
        var path = Path.GetTempFileName();
        try
        {
            tuned.SavePrompts(path);
            Assert.IsLessThan(20_000, new FileInfo(path).Length);
            using var again = model.LoadPrompts(path);
            CollectionAssert.AreEqual(Scores(tuned), Scores(again));
            Assert.AreEqual("renamed", again.Tasks.Single().Name);

            // The whole model can be saved too.
            using var stream = new MemoryStream();
            Ml.Model.Save(again, null, stream);
            stream.Position = 0;
            using var loaded = (GeneralistTransformer)Ml.Model.Load(stream, out _);
            CollectionAssert.AreEqual(Scores(tuned), Scores(loaded));
            Assert.IsTrue(new[] { tuned, again, loaded }.All(each => Math.Abs(Weight(each, "head.linear.weight")[0]) > 0));

            StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => model.SavePrompts(path)).Message, "TunePrompts");
            StringAssert.Contains(
                Assert.ThrowsExactly<InvalidOperationException>(() => tuned.LoadPrompts(path)).Message, "prompts already");
            var options = Toys.Options("colour");
            options.Epochs = 1;
            using var other = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows("colour", 8, seed: 1)));
            StringAssert.Contains(Assert.ThrowsExactly<InvalidDataException>(() => other.LoadPrompts(path)).Message, "another model");
        }
        finally
        {
            File.Delete(path);
        }
    }

    [TestMethod]
    public void TheHead_CountsForItsClasses_InAnyOrder()
    {
        using var tuned = model.TunePrompts(Renamed, Toys.View(Ml, Rows(24, seed: 1)), new PromptTuningOptions { MaxSteps = 3 });
        var before = Probabilities(tuned, Renamed);
        Fill("head.linear.bias", [.. Weight(tuned, "head.linear.bias").Zip([2f, 0, 0, -1], (bias, more) => bias + more)]);
        var all = Probabilities(tuned, Renamed);
        foreach (var (row, earlier) in all.Zip(before))
        {
            Assert.AreEqual(2, Math.Log(row[0] / row[1]) - Math.Log(earlier[0] / earlier[1]), 1e-2);
            Assert.AreEqual(-1, Math.Log(row[3] / row[2]) - Math.Log(earlier[3] / earlier[2]), 1e-2);
        }
        foreach (var (row, turned) in all.Zip(Probabilities(tuned, Renamed with { ClassNames = ["rain", "storm", "sad", "cake"] })))
        {
            float[] wanted = [row[3], row[2], row[0], row[1]];
            foreach (var (one, other) in wanted.Zip(turned))
                Assert.AreEqual(one, other, 1e-5);
        }
        foreach (var (row, some) in all.Zip(Probabilities(tuned, Renamed with { ClassNames = ["cake", "sad"] })))
            Assert.AreEqual(row[0] / (row[0] + row[1]), some[1], 1e-4);

        // With a class that is new to it, and in another kind of task, the cosines alone decide: as without what it has learned.
        var wider = Renamed with { ClassNames = ["sad", "cake", "storm", "rain", "song"] };
        var ofTexts = new GeneralistTask { Name = "words", Kind = GeneralistTaskKind.TextClassification, ClassNames = Renamed.ClassNames };
        var (ofWider, ofWords) = (Probabilities(tuned, wider), Probabilities(tuned, ofTexts));
        Fill("head.linear.bias", [0, 0, 0, 0]);
        Fill("head.linear.weight", new float[4 * 32]);
        Fill("head.scale", [3]);
        foreach (var (one, other) in ofWider.Concat(ofWords).Zip(Probabilities(tuned, wider).Concat(Probabilities(tuned, ofTexts))))
            CollectionAssert.AreEqual(one, other);

        void Fill(string name, float[] values)
        {
            using var noGrad = torch.no_grad();
            using var scope = torch.NewDisposeScope();
            var parameter = tuned.Model.named_parameters().Single(pair => pair.name == name).parameter;
            parameter.copy_(torch.tensor(values).view(parameter.shape));
        }
    }

    [TestMethod]
    public void WithoutAHead_AndForOtherTasks_ThereIsNone()
    {
        using var without = model.TunePrompts(
            Renamed, Toys.View(Ml, Rows(8, seed: 1)), new PromptTuningOptions { MaxSteps = 2, ClassificationHead = false });
        using var found = model.TunePrompts(
            new GeneralistTask { Name = "find", Kind = GeneralistTaskKind.ImageTextRetrieval },
            Toys.View(Ml, Toys.Rows("find", 8, seed: 1)),
            new PromptTuningOptions { MaxSteps = 2 }
        );
        Assert.IsTrue(without.Model.Config.Head is null && found.Model.Config.Head is null);
        var path = Path.GetTempFileName();
        try
        {
            without.SavePrompts(path);
            using var again = model.LoadPrompts(path);
            Assert.IsNull(again.Model.Config.Head);
            CollectionAssert.AreEqual(Scores(without), Scores(again));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [TestMethod]
    public void AFileWithAHeadOfNoClasses_IsRefused()
    {
        using var tuned = model.TunePrompts(Renamed, Toys.View(Ml, Rows(8, seed: 1)), new PromptTuningOptions { MaxSteps = 1 });
        var path = Path.GetTempFileName();
        try
        {
            tuned.SavePrompts(path);
            using (var contents = Read())
            {
                using var file = File.Create(path);
                var task = JsonSerializer.Serialize(Renamed with { ClassNames = null }, GeneralistDocument.Json);
                SafeTensors.Write(file, contents.Tensors, new Dictionary<string, string>(contents.Metadata) { ["task"] = task });
            }
            StringAssert.Contains(
                Assert.ThrowsExactly<InvalidDataException>(() => model.LoadPrompts(path)).Message, "its task 'renamed' has no classes");
        }
        finally
        {
            File.Delete(path);
        }

        SafeTensorsContents Read()
        {
            using var stream = File.OpenRead(path);
            return SafeTensors.Read(stream, stream.Length);
        }
    }

    [TestMethod]
    public void WhatCannotBeTuned_IsRefused()
    {
        var rows = Toys.View(Ml, Rows(4, seed: 1));
        Assert.ThrowsExactly<ArgumentException>(() => model.TunePrompts(Renamed, rows, new PromptTuningOptions { Prompts = 0 }));
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => model.TunePrompts(Renamed with { ClassNames = null }, rows)).Message,
            "ClassNames");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() =>
                    model.TunePrompts(Renamed with { ClassNames = ["sad", "cake"] }, Toys.View(Ml, Rows(20, seed: 1))))
                .Message,
            "the classes are [sad, cake]");
    }

    private static List<GeneralistRow> Rows(int count, int seed) =>
        [
            .. Toys.Rows("colour", count, seed)
                .Select(row => new GeneralistRow
                {
                    Features = row.Features,
                    Label = Renamed.ClassNames![Array.IndexOf(Colours.Names, row.Label)],
                }),
        ];

    private static float[] Weight(GeneralistTransformer transformer, string name) =>
        transformer.Model.named_parameters().Single(pair => pair.name == name).parameter.detach().data<float>().ToArray();

    private static float[][] Probabilities(GeneralistTransformer transformer, GeneralistTask task)
    {
        var rows = Rows(8, seed: 2);
        foreach (var row in rows)
            row.Text = $"the {row.Label}";
        return [.. transformer.ForTask(task).Transform(Toys.View(Ml, rows)).GetColumn<float[]>("Score")];
    }

    private static string[] Scores(GeneralistTransformer transformer) =>
        [
            .. transformer
                .ForTask(Renamed)
                .Transform(Toys.View(Ml, Rows(8, seed: 2)))
                .GetColumn<float[]>("Score")
                .Select(row => string.Join(' ', row)),
        ];

    private static float[] Weights(GeneralistTransformer transformer)
    {
        using var scope = torch.NewDisposeScope();
        return [.. transformer.Model.parameters().SelectMany(parameter => parameter.detach().data<float>().ToArray())];
    }
}

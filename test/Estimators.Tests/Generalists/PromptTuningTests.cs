using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Generalists;

[TestClass]
public sealed class PromptTuningTests
{
    // Colours by other words: what these say, the model has never learned.
    private static readonly GeneralistTask Renamed = new() { Name = "renamed", Kind = GeneralistTaskKind.ImageClassification, ClassNames = ["sad", "cake", "storm", "rain"] };
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
        using var tuned = model.TunePrompts(Renamed, Toys.View(Ml, Rows(24, seed: 1)), new PromptTuningOptions { Steps = 150, BatchSize = 24 });

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
    public void PromptsAreSaved_AndAppliedToTheirModel()
    {
        using var tuned = model.TunePrompts(Renamed, Toys.View(Ml, Rows(24, seed: 1)), new PromptTuningOptions { Steps = 5, Prompts = 3 });
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

            StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => model.SavePrompts(path)).Message, "TunePrompts");
            StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => tuned.LoadPrompts(path)).Message, "prompts already");
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
    public void WhatCannotBeTuned_IsRefused()
    {
        var rows = Toys.View(Ml, Rows(4, seed: 1));
        Assert.ThrowsExactly<ArgumentException>(() => model.TunePrompts(Renamed, rows, new PromptTuningOptions { Prompts = 0 }));
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => model.TunePrompts(Renamed with { ClassNames = null }, rows)).Message, "ClassNames");
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => model.TunePrompts(Renamed with { ClassNames = ["sad", "cake"] }, Toys.View(Ml, Rows(20, seed: 1)))).Message, "the classes are [sad, cake]");
    }

    private static List<GeneralistRow> Rows(int count, int seed) =>
        [.. Toys.Rows("colour", count, seed).Select(row => new GeneralistRow { Features = row.Features, Label = Renamed.ClassNames![Array.IndexOf(Colours.Names, row.Label)] })];

    private static string[] Scores(GeneralistTransformer transformer) =>
        [.. transformer.ForTask(Renamed).Transform(Toys.View(Ml, Rows(8, seed: 2))).GetColumn<float[]>("Score").Select(row => string.Join(' ', row))];

    private static float[] Weights(GeneralistTransformer transformer)
    {
        using var scope = torch.NewDisposeScope();
        return [.. transformer.Model.parameters().SelectMany(parameter => parameter.detach().data<float>().ToArray())];
    }
}

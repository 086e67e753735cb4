using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Generalists;

/// <summary>Trainings that start from an earlier model.</summary>
[TestClass]
public sealed class GeneralistInitialModelTests
{
    // Colours by other words: what these say, the model has never learned.
    private static readonly GeneralistTask Renamed = new()
    {
        Name = "renamed",
        Kind = GeneralistTaskKind.ImageClassification,
        ClassNames = ["sad", "cake", "storm", "rain"],
    };
    private static readonly string[] Tasks = ["colour", "film", "mood", "masked"];
    private static readonly MLContext Ml = new(seed: 1);
    private static GeneralistTransformer model = null!;
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"moe-ml-{Guid.NewGuid():n}");

    [ClassInitialize]
    public static void Train(TestContext _)
    {
        var options = Toys.Options(Tasks);
        options.Epochs = 8;
        options.Alter(a => a with { SparseBlocks = BlockPositions.Last(1) });
        model = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(Tasks, 32, seed: 1)));
    }

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestCleanup]
    public void Delete()
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    [TestMethod]
    public void WithoutLearningRate_TheModelSaysTheSame()
    {
        var options = Options(model, "colour", "mood");
        (options.Epochs, options.LearningRate, options.FinalLearningRate) = (1, 0, 0);
        using var same = Fit(options, Toys.Rows(["colour", "mood"], 8, seed: 3));

        // Tasks that are not trained again can be asked too; the column is now called as the options say.
        foreach (var name in new[] { "colour", "mood", "film" })
            CollectionAssert.AreEqual(Scores(model.ForTask(name)), Scores(same.ForTask(Task(name))), name);
        Assert.AreNotSame(model.Model, same.Model);
        CollectionAssert.AreEqual(new[] { "colour", "mood" }, same.Tasks.Select(task => task.Name).ToArray());
        Assert.AreEqual(model.Model.Config.ToJson(), same.Model.Config.ToJson());
    }

    [TestMethod]
    public void ANewTask_IsLearned_AndTheEarlierModelIsLeftAlone()
    {
        var (before, scores) = (Weights(model), Scores(model.ForTask("colour")));
        var zeroShot = Toys.Accuracy(Ml, model.ForTask(Renamed), RenamedRows(60, seed: 2));
        var options = Options(model);
        (options.Tasks, options.Epochs, options.LearningRate) = ([Renamed], 6, 2e-3);
        using var tuned = Fit(options, RenamedRows(48, seed: 1));

        Assert.IsLessThan(0.5 * tuned.History[0].Averages.Loss, tuned.History[^1].Averages.Loss);
        Assert.IsGreaterThan(zeroShot + 0.3, Toys.Accuracy(Ml, tuned.ForTask("renamed"), RenamedRows(60, seed: 2)), $"from {zeroShot}");
        CollectionAssert.AreEqual(before, Weights(model));
        CollectionAssert.AreEqual(scores, Scores(model.ForTask("colour")));
    }

    [TestMethod]
    public void ItGoesOnFromAZip_AndIsSaved_WithBothHistories()
    {
        var chain = new TransformerChain<ITransformer>(model.ForTask("mood"));
        var options = Options(Load(Save(chain)), "mood");
        options.Epochs = 2;
        using var tuned = Fit(options, Toys.Rows("mood", 16, seed: 3));
        using var loaded = (GeneralistTransformer)Load(Save(tuned));

        CollectionAssert.AreEqual(Scores(tuned.ForTask("mood")), Scores(loaded.ForTask("mood")));
        CollectionAssert.AreEqual(Scores(tuned.ForTask(Task("film"))), Scores(loaded.ForTask(Task("film"))));
        Assert.HasCount(2, loaded.History);
        var earlier = loaded.Training!.Earlier.Single();
        Assert.AreEqual((8, 32, 16), (earlier.Training.Epochs.Count, earlier.Examples["masked"], loaded.Training.Examples["mood"]));

        options = Options(loaded, "mood");
        options.Epochs = 1;
        using var third = Fit(options, Toys.Rows("mood", 16, seed: 3));
        CollectionAssert.AreEqual(new[] { 8, 2 }, third.Training!.Earlier.Select(training => training.Training.Epochs.Count).ToArray());
        Assert.IsTrue(third.Training.Earlier.All(training => training.Earlier.Count == 0));
    }

    [TestMethod]
    public void AnInterruptedTraining_GoesOn_FromTheSameModelOnly()
    {
        var rows = Toys.Rows("mood", 48, seed: 3);
        using var whole = Fit(Short(model), rows);
        using var source = new CancellationTokenSource();
        var interrupted = Short(model);
        (interrupted.Checkpoints, interrupted.CancellationToken) = (new CheckpointOptions(folder), source.Token);
        interrupted.Progress = progress =>
        {
            if (progress.Step == 4)
                source.Cancel();
        };
        Assert.Throws<OperationCanceledException>(() => Fit(interrupted, rows));

        using var other = Fit(Short(model), rows);
        StringAssert.Contains(Assert.Throws<InvalidOperationException>(() => Fit(Resumed(other), rows)).Message, "InitialModel");
        using var resumed = Fit(Resumed(model), rows);
        CollectionAssert.AreEqual(Weights(whole), Weights(resumed));

        UniPerceiverGeneralist.Options Resumed(ITransformer initial)
        {
            var options = Short(initial);
            options.Checkpoints = new(folder) { Resume = true };
            return options;
        }

        static UniPerceiverGeneralist.Options Short(ITransformer initial)
        {
            var options = Options(initial, "mood");
            (options.Epochs, options.ProgressInterval) = (2, 1);
            return options;
        }
    }

    [TestMethod]
    public void WhatContradictsTheEarlierModel_IsRefused()
    {
        Refused(options => options.Tokenizer = TokenizerOptions.Bytes, "Tokenizer is Bytes");
        Refused(
            options => options.Alter(a => a with { TextLength = 32 }),
            "TextLength of the Architecture is 32, but that of InitialModel is 24");
        Refused(options => options.Alter(a => a with { Blocks = 3 }), "Blocks of the Architecture is 3, but that of InitialModel is 2");
        Refused(options => options.PatchSize = 2, "PatchSize is 2");
        Refused(options => options.Alter(a => a with { Block = a.Block with { Width = 48 } }), "Block of the Architecture is");
        Refused(options => options.Alter(a => a with { SparseBlocks = BlockPositions.First(1) }), "SparseBlocks of the Architecture is");
        Refused(options => options.Alter(a => a with { Attributes = ["Loud"] }), "Attributes of the Architecture is [\"Loud\"]");
        Refused(options => options.ImageHeight = 16, "ImageHeight is 16, but that of InitialModel is 8");
        Refused(options => options.Frames = 3, "Frames is 3; InitialModel takes videos of at most 2");
        Refused(options => options.Tasks = [Task("mood") with { InputAttributes = ["Loud"] }], "'Loud'");
        Refused(options => options.InitialModel = Ml.Transforms.CopyColumns("A", "Text").Fit(Toys.View(Ml, [])), "no generalist in it");
        Refused(
            options => options.InitialModel = new TransformerChain<ITransformer>(model, (ITransformer)Load(Save(model))), "2 generalists");
        Refused(options => options.Alter(a => a with { DropPath = 1 }), "DropPath is 1");

        // What the earlier model has may be said again.
        var same = Options(model, "mood");
        same.ImageWidth = 8;
        same.Alter(a => a with { TextLength = 24, Blocks = 2, Block = model.Model.Config.Block, SparseBlocks = BlockPositions.Last(1) });
        Assert.IsNotNull(Ml.Transforms.UniPerceiverGeneralist(same));

        static void Refused(Action<UniPerceiverGeneralist.Options> change, string part)
        {
            var options = Options(model, "mood");
            change(options);
            StringAssert.Contains(
                Assert.ThrowsExactly<ArgumentException>(() => Ml.Transforms.UniPerceiverGeneralist(options)).Message, part);
        }
    }

    [TestMethod]
    public void ModelsThatCannotDoATask_AndModelsWithPrompts_AreRefused()
    {
        var first = Toys.Options("mood");
        first.Epochs = 1;
        first.Alter(a => a with { Block = a.Block with { RoutingLevel = RoutingLevel.Task } });
        using var texts = Fit(first, Toys.Rows("mood", 8, seed: 1));
        StringAssert.Contains(Error(Options(texts, "pair")), "'pair'");
        StringAssert.Contains(Error(Options(texts, "colour")), "InitialModel has learned no pictures of modality Image");
        var again = Options(texts, "mood");
        again.Epochs = 1;
        using var trained = Fit(again, Toys.Rows("mood", 8, seed: 1));
        Assert.AreEqual("mood", trained.Tasks.Single().Name);

        using var prompted = model.TunePrompts(Renamed, Toys.View(Ml, RenamedRows(8, seed: 1)), new PromptTuningOptions { MaxSteps = 1 });
        StringAssert.Contains(Error(Options(prompted, "mood")), "InitialModel has 10 prompts");

        trained.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => Ml.Transforms.UniPerceiverGeneralist(Options(trained, "mood")));

        static string Error(UniPerceiverGeneralist.Options options) =>
            Assert.ThrowsExactly<ArgumentException>(() => Ml.Transforms.UniPerceiverGeneralist(options)).Message;
    }

    [TestMethod]
    public void PixelsInOtherUnits_AreNoticed_AndTooLongVideosRefused()
    {
        var log = new MLContext(seed: 1);
        var messages = new LogMessages(log);
        var options = Options(model, "colour");
        options.Epochs = 1;
        var rows = Toys.Rows("colour", 8, seed: 1);
        foreach (var row in rows)
            row.Features = Array.ConvertAll(row.Features, pixel => pixel / 255);
        using var tuned = log.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(log, rows));
        Assert.IsTrue(messages.All.Any(message => message.Contains("those that InitialModel was trained on", StringComparison.Ordinal)));
        Assert.IsTrue(
            messages.All.Any(message =>
                message.Contains("Starting from an earlier model of the tasks [colour, film, mood, masked]", StringComparison.Ordinal)));

        var films = Ml.Data.LoadFromEnumerable([new LongFilm()]);
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Ml.Transforms.UniPerceiverGeneralist(Options(model, "film")).Fit(films)).Message,
            "has videos of 3 frames");
    }

    private static UniPerceiverGeneralist.Options Options(ITransformer initial, params string[] tasks) => new()
    {
        InitialModel = initial,
        Tasks = [.. tasks.Select(Task)],
        ImageColumnName = "Features",
        BatchSize = 16,
        LearningRate = 1e-3,
        Threads = 1,
        Seed = 5,
    };

    private static GeneralistTask Task(string name) => Toys.All.Single(task => task.Name == name);

    private static GeneralistTransformer Fit(UniPerceiverGeneralist.Options options, IEnumerable<GeneralistRow> rows) =>
        Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, rows));

    private static List<GeneralistRow> RenamedRows(int count, int seed) =>
        [
            .. Toys.Rows("colour", count, seed)
                .Select(row => new GeneralistRow
                {
                    Task = "renamed",
                    Features = row.Features,
                    Label = Renamed.ClassNames![Array.IndexOf(Colours.Names, row.Label)],
                }),
        ];

    private static string[] Scores(GeneralistTaskTransformer task) =>
        [
            .. task.Transform(Toys.View(Ml, Toys.Rows(task.Task.Name, 8, seed: 2)))
                .GetColumn<float[]>("Score")
                .Select(row => string.Join(' ', row)),
        ];

    private static float[] Weights(GeneralistTransformer transformer)
    {
        using var scope = torch.NewDisposeScope();
        return [.. transformer.Model.parameters().SelectMany(parameter => parameter.detach().data<float>().ToArray())];
    }

    private static byte[] Save(ITransformer transformer)
    {
        using var stream = new MemoryStream();
        Ml.Model.Save(transformer, null, stream);
        return stream.ToArray();
    }

    private static ITransformer Load(byte[] zip)
    {
        using var stream = new MemoryStream(zip);
        return Ml.Model.Load(stream, out _);
    }

    /// <summary>A video of more frames than the model takes.</summary>
    private sealed class LongFilm
    {
        public string Task { get; set; } = "film";

        public string Label { get; set; } = Colours.Names[0];

        [VectorType(3, 8, 8, 3)]
        public byte[] Video { get; set; } = new byte[3 * 8 * 8 * 3];
    }
}

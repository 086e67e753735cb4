using System.Globalization;
using System.Security.Cryptography;
using Estimators.Tests.Persistence;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Generalists;

/// <summary>Saving and loading, and trainings that are interrupted.</summary>
[TestClass]
public sealed class GeneralistZipTests
{
    private static readonly string[] Tasks = ["colour", "mood", "masked", "film caption"];
    private static readonly MLContext Ml = new(seed: 1);
    private static GeneralistTransformer model = null!;
    private static byte[] saved = [];
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"moe-ml-{Guid.NewGuid():n}");

    [ClassInitialize]
    public static void Train(TestContext _)
    {
        var options = Toys.Options(Tasks);
        options.Epochs = 3;
        model = Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(Tasks, 24, seed: 1)));
        saved = Save(model);
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
    public void AReloadedModel_SaysTheSame_AndSavesTheSame()
    {
        using var loaded = (GeneralistTransformer)Load(saved);
        foreach (
            var (task, column) in new[]
            {
                ("colour", "Score"),
                ("mood", "Score"),
                ("masked", "PredictedText"),
                ("film caption", "PredictedText"),
            }
        )
            CollectionAssert.AreEqual(Read(model.ForTask(task), column), Read(loaded.ForTask(task), column), task);
        CollectionAssert.AreEqual(model.Tasks[0].ClassNames!.ToArray(), loaded.Tasks[0].ClassNames!.ToArray());
        Assert.AreEqual((model.Training!.Seed, model.Training.Examples["mood"]), (loaded.Training!.Seed, loaded.Training.Examples["mood"]));
        Assert.HasCount(3, loaded.History);
        var again = Save(loaded);
        foreach (var entry in new[] { "generalist.json", "vocab.json", "merges.txt", "weights.safetensors", "training.json" })
            CollectionAssert.AreEqual(ModelZip.Read(saved, entry), ModelZip.Read(again, entry), entry);
    }

    [TestMethod]
    [DataRow("golden-generalist-0x00010001", 6, "film", 24)]
    [DataRow(GoldenZip.GeneralistName, 6, "colour", 24)]
    public void ZipsOfEveryFormatVersion_StillLoad(string name, int epochs, string task, int examples)
    {
        using var loaded = (GeneralistTransformer)Load(File.ReadAllBytes(GoldenZip.File(name + ".zip")));
        var (wanted, found) = (
            File.ReadAllText(GoldenZip.File(name + ".txt")).TrimEnd('\n').Split('\n'), GoldenZip.DescribeTasks(Ml, loaded).Split('\n'));
        Assert.HasCount(3 * 4 + 1, found);
        foreach (var (w, f) in wanted.Zip(found, (w, f) => (w.Split(' '), f.Split(' '))))
        {
            Assert.AreEqual((w[0], w[1], w.Length), (f[0], f[1], f.Length), "task, class and number of scores");
            foreach (
                var (score, other) in w[2..]
                    .Zip(f[2..], (score, other) =>
                        (float.Parse(score, CultureInfo.InvariantCulture), float.Parse(other, CultureInfo.InvariantCulture))))
                Assert.AreEqual(score, other, 1e-4, w[0]);
        }
        Assert.HasCount(epochs, loaded.History);
        Assert.AreEqual(examples, loaded.Training!.Examples[task]);
        Assert.AreEqual(name == GoldenZip.GeneralistName, loaded.Model.Config.Head is not null);
    }

    [TestMethod]
    public void ATask_IsSavedWithItsModel()
    {
        var one = model.ForTask(model.Tasks[1] with { Name = "another", ClassNames = ["sad", "happy", "neither"] });
        var loaded = (GeneralistTaskTransformer)Load(Save(one));
        Assert.AreEqual("another", loaded.Task.Name);
        CollectionAssert.AreEqual(Read(one, "Score"), Read(loaded, "Score"));
    }

    [TestMethod]
    public async Task AFreshProcess_LoadsAndPredicts_WithoutRegistration()
    {
        var rows = Ml.Data.LoadFromEnumerable(Colours.Rows(6));
        var task = model.ForTask("colour");
        var chain = new TransformerChain<ITransformer>(
            task, Ml.Transforms.Conversion.MapKeyToValue("PredictedLabel").Fit(task.Transform(rows)));
        var zip = Path.GetTempFileName();
        try
        {
            Ml.Model.Save(chain, rows.Schema, zip);
            FreshProcess.AssertScores(FreshProcess.Describe(Ml, chain, 6), await FreshProcess.Predict(zip, 6), 1e-5);
        }
        finally
        {
            File.Delete(zip);
        }
    }

    [TestMethod]
    [DataRow("generalist.json")]
    [DataRow("vocab.json")]
    [DataRow("weights.safetensors")]
    [DataRow("training.json")]
    public void AnAlteredEntry_IsRefused(string entry)
    {
        var altered = ModelZip.With(saved, entry, bytes =>
        {
            bytes[^20] ^= 1;
            return bytes;
        });
        StringAssert.Contains(Assert.Throws<Exception>(() => Load(altered)).GetBaseException().Message, $"'{entry}' has been altered");
        StringAssert.Contains(
            Assert.Throws<Exception>(() => Load(ModelZip.With(saved, entry, _ => null))).GetBaseException().Message, $"no entry '{entry}'");
    }

    [TestMethod]
    public void AnInterruptedFit_GoesOn_ToTheBit()
    {
        using var whole = Fit(Change(_ => { }));
        using var source = new CancellationTokenSource();
        var options = Change(options =>
        {
            (options.Checkpoints, options.CancellationToken) = (new CheckpointOptions(folder), source.Token);
            options.Progress = progress =>
            {
                if (progress.Step == 5)
                    source.Cancel();
            };
        });
        Assert.Throws<OperationCanceledException>(() => Fit(options));

        var steps = new List<int>();
        using var resumed = Fit(
            Change(options =>
                (options.Checkpoints, options.Progress) = (new CheckpointOptions(folder) { Resume = true }, progress =>
                    steps.Add(progress.Step))));
        Assert.AreEqual(6, steps[0]);
        Assert.AreEqual(Hash(whole), Hash(resumed));
        StringAssert.Contains(
            Assert
                .Throws<InvalidOperationException>(() =>
                    Fit(
                        Change(options =>
                            (options.Checkpoints, options.MaskedFraction) = (new CheckpointOptions(folder) { Resume = true }, 0.3))))
                .Message,
            "MaskedFraction was 0.15");
        StringAssert.Contains(
            Assert
                .Throws<InvalidOperationException>(() =>
                    Fit(Change(options => options.Checkpoints = new(folder) { Resume = true }), rows: 23))
                .Message,
            "training examples of task 'colour'");
    }

    [TestMethod]
    public void TheSameSeed_GivesTheSameModel()
    {
        using var one = Fit(Change(_ => { }));
        using var other = Fit(Change(_ => { }));
        using var another = Fit(Change(options => options.Seed = 4));
        Assert.AreEqual(Hash(one), Hash(other));
        Assert.AreNotEqual(Hash(one), Hash(another));
    }

    private static UniPerceiverGeneralist.Options Change(Action<UniPerceiverGeneralist.Options> change)
    {
        var options = Toys.Options(Tasks);
        (options.Epochs, options.ProgressInterval, options.EmaDecay) = (2, 1, 0.9);
        options.Alter(a => a with { DropPath = 0.1 });
        change(options);
        return options;
    }

    private static GeneralistTransformer Fit(UniPerceiverGeneralist.Options options, int rows = 24) =>
        Ml.Transforms.UniPerceiverGeneralist(options).Fit(Toys.View(Ml, Toys.Rows(Tasks, rows, seed: 1)));

    private static string Hash(GeneralistTransformer transformer)
    {
        using var scope = torch.NewDisposeScope();
        return Convert.ToHexString(SHA256.HashData([.. transformer.Model.parameters().SelectMany(tensor => tensor.bytes.ToArray())]));
    }

    private static string[] Read(GeneralistTaskTransformer task, string column)
    {
        var name = Tasks.Contains(task.Task.Name) ? task.Task.Name : "mood";
        var view = task.Transform(Toys.View(Ml, Toys.Rows(name, 8, seed: 2)));
        return column == "Score"
            ? [.. view.GetColumn<float[]>(column).Select(row => string.Join(' ', row))]
            : [.. view.GetColumn<string>(column)];
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
        return new MLContext(seed: 2).Model.Load(stream, out _);
    }
}

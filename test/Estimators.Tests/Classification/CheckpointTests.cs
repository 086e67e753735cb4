using System.Reflection;
using System.Security.Cryptography;
using Estimators.Tests.Persistence;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Classification;

/// <summary>Fit with checkpoints: what was interrupted goes on as if it had not been, and what is cancelled can give its best.</summary>
[TestClass]
public sealed class CheckpointTests
{
    private readonly MLContext ml = new(seed: 1);
    private readonly string folder = Path.Combine(Path.GetTempPath(), $"moe-ml-{Guid.NewGuid():n}");

    [TestCleanup]
    public void Delete()
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    [TestMethod]
    [DataRow(false, false)]
    [DataRow(true, true)]
    public void ACancelledFit_GoesOn_ToTheBit(bool streamed, bool byContext)
    {
        using var whole = Fit(ml, Change(streamed, _ => { }));

        using var source = new CancellationTokenSource();
        var cancelling = new MLContext(seed: 1);
        var options = Change(streamed, options =>
        {
            options.CheckpointFolder = folder;
            options.CancellationToken = source.Token;
            options.Progress = progress =>
            {
                if (progress.Step == 7 && byContext)
                    typeof(MLContext).GetMethod("CancelExecution", BindingFlags.Instance | BindingFlags.NonPublic)!.Invoke(cancelling, null);
                else if (progress.Step == 7)
                    source.Cancel();
                Assert.IsTrue(progress.Step <= 7);
            };
        });
        Assert.Throws<OperationCanceledException>(() => Fit(cancelling, options));

        var steps = new List<int>();
        var logging = new MLContext(seed: 1);
        var log = new LogMessages(logging);
        using var resumed = Fit(logging, Change(streamed, options => (options.CheckpointFolder, options.Resume, options.Progress) = (folder, true, progress => steps.Add(progress.Step))));

        Assert.AreEqual(Hash(whole), Hash(resumed));
        Assert.AreEqual(8, steps[0]);
        Assert.IsTrue(log.All.Any(message => message.Contains($"Training continues after 7 steps and 2 epochs, from '{folder}'.", StringComparison.Ordinal)), string.Join('\n', log.All));
        CollectionAssert.AreEqual(
            whole.Training!.Training.Epochs.Select(epoch => (epoch.Averages.Loss, epoch.Validation)).ToArray(), resumed.Training!.Training.Epochs.Select(epoch => (epoch.Averages.Loss, epoch.Validation)).ToArray());
        Assert.AreEqual(whole.Training.Training.BestEpoch!.Epoch, resumed.Training.Training.BestEpoch!.Epoch);
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public async Task FitsThatAreKilled_EndAsOneThatIsNot(bool streamed)
    {
        var (random, kills) = (new Random(streamed ? 3 : 4), 0);
        for (var attempt = 0; attempt < 12; attempt++)
        {
            var output = await FreshProcess.Train(folder, streamed, attempt < 3 ? random.Next(1, 4) : null, TimeSpan.FromMilliseconds(random.Next(15)));
            if (output.Contains("weights", StringComparison.Ordinal))
            {
                using var threads = new ThreadScope(1);
                using var whole = Fit(ml, Change(streamed, _ => { }));
                StringAssert.Contains(output, $"weights {Hash(whole)}");
                Assert.IsTrue(kills >= 2, $"only {kills} processes were killed");
                return;
            }
            Assert.IsFalse(output.Contains("Exception", StringComparison.Ordinal), output);
            kills++;
        }
        Assert.Fail("the training made no progress");
    }

    /// <summary>What the child process does; see <see cref="FreshProcess.Train"/>.</summary>
    public static string TrainInChild(string folder, bool streamed)
    {
        TorchRuntime.Initialize();
        torch.set_num_threads(1);
        using var model = Fit(new MLContext(seed: 1), Change(streamed, options =>
        {
            (options.CheckpointFolder, options.CheckpointEverySteps, options.Resume) = (folder, 1, true);
            options.Progress = progress => Console.WriteLine($"step {progress.Step}");
        }));
        return $"weights {Hash(model)}";
    }

    [TestMethod]
    public void OtherDataOrOptions_AreRefused_ByName()
    {
        var options = Change(false, options => options.CheckpointFolder = folder);
        Fit(ml, options).Dispose();
        options.Resume = true;
        Fit(ml, options).Dispose();   // the same again, which gives the result

        AssertRefused(rows => rows[5].Features[100] += 1, _ => { }, "Hash of the training images was");
        AssertRefused(rows => rows[5].Label = rows[5].Label == "red" ? "blue" : "red", _ => { }, "Hash of the training labels was");
        AssertRefused(rows => rows.RemoveAt(59), _ => { }, "Number of training images was 60 in the checkpoint and is 59 now");
        AssertRefused(_ => { }, options => options.LearningRate = 0.1, "LearningRate was 0.005 in the checkpoint and is 0.1 now");
        AssertRefused(_ => { }, options => options.Width = 32, "Model.Width was 16 in the checkpoint and is 32 now");
        AssertRefused(_ => { }, options => options.HorizontalFlip = false, "HorizontalFlip was true in the checkpoint and is false now");
        AssertRefused(_ => { }, options => options.BatchSize = 15, "BatchSize was 16 in the checkpoint and is 15 now");
        AssertRefused(_ => { }, options => options.Seed = 5, "Seed was 7 in the checkpoint and is 5 now");
        AssertRefused(_ => { }, options => options.CacheInMemory = false, "ShufflePoolSize was all images in the checkpoint and is 20 now");
        AssertRefused(_ => { }, options => options.ValidationFraction = 0.4, "ValidationFraction was 0.25 in the checkpoint and is 0.4 now");

        options.Resume = false;
        StringAssert.Contains(Assert.Throws<InvalidOperationException>(() => Fit(ml, options)).Message, "has checkpoints of an earlier training");

        void AssertRefused(Action<List<ColourRow>> changeRows, Action<WideNetImageClassifier.Options> change, string reason)
        {
            var changed = Change(false, options => (options.CheckpointFolder, options.Resume) = (folder, true));
            change(changed);
            var rows = Colours.Rows(60);
            changeRows(rows);
            StringAssert.Contains(Assert.Throws<InvalidOperationException>(() => Fit(ml, changed, rows)).Message, reason);
        }
    }

    [TestMethod]
    public void WithoutASeed_ThatOfTheTrainingIsTakenUp()
    {
        var options = Change(false, options => (options.CheckpointFolder, options.Seed) = (folder, null));
        using var first = Fit(new MLContext(), options);
        options.Resume = true;
        using var second = Fit(new MLContext(), options);
        Assert.AreEqual(first.Training!.Seed, second.Training!.Seed);
        Assert.AreEqual(Hash(first), Hash(second));
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void ACancelledFit_CanReturnTheBestModelSoFar(bool byContext)
    {
        using var source = new CancellationTokenSource();
        var cancelling = new MLContext(seed: 1);
        using var model = Fit(cancelling, Change(false, options =>
        {
            (options.OnCancellation, options.CancellationToken) = (CancellationBehavior.ReturnBest, source.Token);
            options.Progress = progress =>
            {
                if (progress.Step == 7 && byContext)
                    typeof(MLContext).GetMethod("CancelExecution", BindingFlags.Instance | BindingFlags.NonPublic)!.Invoke(cancelling, null);
                else if (progress.Step == 7)
                    source.Cancel();
            };
        }));

        var training = model.Training!.Training;
        Assert.AreEqual(StopReason.Cancelled, training.StopReason);
        Assert.AreEqual(7, training.Steps);
        Assert.HasCount(2, training.Epochs);
        Assert.IsTrue(training.BestWeightsRestored);
        Assert.HasCount(60, model.Transform(Colours.WithKeys(new MLContext(), Colours.Rows(60))).GetColumn<float[]>("Score").ToArray());
    }

    [TestMethod]
    public void WhatCannotBe_IsRefusedBeforeTraining()
    {
        AssertRefused(options => options.Resume = true, "Resume is true, but CheckpointFolder names no folder");
        AssertRefused(options => (options.CheckpointFolder, options.CheckpointEverySteps) = (folder, 0), "EverySteps is 0");
        AssertRefused(options => (options.CheckpointFolder, options.CheckpointsKept) = (folder, 0), "Kept is 0");
        AssertRefused(options => options.CheckpointFolder = " ", "Folder is empty");
        AssertRefused(options => options.OnCancellation = (CancellationBehavior)7, "OnCancellation is 7");

        void AssertRefused(Action<WideNetImageClassifier.Options> change, string reason) => StringAssert.Contains(
            Assert.Throws<ArgumentException>(() => ml.MulticlassClassification.Trainers.WideNetImageClassifier(Change(false, change))).Message, reason);
    }

    [TestMethod]
    public void EveryEstimatorsOptions_CanBeDescribed()
    {
        foreach (var type in typeof(ImageClassificationOptions).Assembly.GetTypes().Where(type => type.IsSubclassOf(typeof(ImageClassificationOptions)) && !type.IsAbstract))
        {
            var description = ((ImageClassificationOptions)Activator.CreateInstance(type)!).Describe().ToDictionary();
            Assert.AreEqual("0.1", description[nameof(ImageClassificationOptions.LabelSmoothing)], type.FullName);
            Assert.IsFalse(description.Keys.Any(name => name.StartsWith("Checkpoint", StringComparison.Ordinal) || name.Contains("Column", StringComparison.Ordinal)), type.FullName);
        }
    }

    private static WideNetImageClassifier.Options Change(bool streamed, Action<WideNetImageClassifier.Options> change)
    {
        var options = Colours.Options();
        (options.Epochs, options.Dropout, options.EmaDecay, options.ValidationFraction) = (4, 0.1, 0.9, 0.25);   // 45 images, three steps an epoch
        (options.HorizontalFlip, options.RandomCropPadding, options.RandomErasing, options.Mixup) = (true, 1, 0.3, 0.2);
        (options.CacheInMemory, options.ShufflePoolSize, options.ProgressInterval) = (!streamed, 20, 1);
        change(options);
        return options;
    }

    private static ImageClassificationTransformer Fit(MLContext ml, WideNetImageClassifier.Options options, List<ColourRow>? rows = null) =>
        ml.MulticlassClassification.Trainers.WideNetImageClassifier(options).Fit(Colours.WithKeys(ml, rows ?? Colours.Rows(60)));

    private static string Hash(ImageClassificationTransformer model)
    {
        using var scope = torch.NewDisposeScope();
        return Convert.ToHexString(SHA256.HashData([.. model.Model.parameters().SelectMany(parameter => parameter.bytes.ToArray())]));
    }
}

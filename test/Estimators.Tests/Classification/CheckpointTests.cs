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
            options.Checkpoints = new(folder);
            options.CancellationToken = source.Token;
            options.Progress = progress =>
            {
                if (progress.Step == 7 && byContext)
                    typeof(MLContext)
                        .GetMethod("CancelExecution", BindingFlags.Instance | BindingFlags.NonPublic)!
                        .Invoke(cancelling, null);
                else if (progress.Step == 7)
                    source.Cancel();
                Assert.IsTrue(progress.Step <= 7);
            };
        });
        Assert.Throws<OperationCanceledException>(() => Fit(cancelling, options));

        var steps = new List<int>();
        var logging = new MLContext(seed: 1);
        var log = new LogMessages(logging);
        using var resumed = Fit(
            logging,
            Change(streamed, options =>
                (options.Checkpoints, options.Progress) = (new CheckpointOptions(folder) { Resume = true }, progress =>
                    steps.Add(progress.Step))));

        Assert.AreEqual(Hash(whole), Hash(resumed));
        Assert.AreEqual(8, steps[0]);
        Assert.IsTrue(
            log.All.Any(message =>
                message.Contains($"Training continues after 7 steps and 2 epochs, from '{folder}'.", StringComparison.Ordinal)),
            string.Join('\n', log.All));
        CollectionAssert.AreEqual(
            whole.Training!.Training.Epochs.Select(epoch => (epoch.Averages.Loss, epoch.Validation)).ToArray(),
            resumed.Training!.Training.Epochs.Select(epoch => (epoch.Averages.Loss, epoch.Validation)).ToArray());
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
            var output = await FreshProcess.Train(
                folder, streamed, attempt < 3 ? random.Next(1, 4) : null, TimeSpan.FromMilliseconds(random.Next(15)));
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
                options.Checkpoints = new(folder) { EverySteps = 1, Resume = true };
                options.Progress = progress => Console.WriteLine($"step {progress.Step}");
            }));
        return $"weights {Hash(model)}";
    }

    [TestMethod]
    public void OtherDataOrOptions_AreRefused_ByName()
    {
        var options = Change(false, options => options.Checkpoints = new(folder));
        Fit(ml, options).Dispose();
        options.Checkpoints = new(folder) { Resume = true };
        Fit(ml, options).Dispose();   // the same again, which gives the result

        AssertRefused(rows => rows[5].Features[100] += 1, _ => { }, "Hash of the training images was");
        AssertRefused(rows => rows[5].Label = rows[5].Label == "red" ? "blue" : "red", _ => { }, "Hash of the training labels was");
        AssertRefused(rows => rows.RemoveAt(59), _ => { }, "Number of training images was 60 in the checkpoint and is 59 now");
        AssertRefused(_ => { }, options => options.LearningRate = 0.1, "LearningRate was 0.005 in the checkpoint and is 0.1 now");
        AssertRefused(
            _ => { },
            options => options.Alter(a => a with { Width = 32 }),
            "cannot be continued: Model.Width was 16 in the checkpoint and is 32 now");
        AssertRefused(
            _ => { },
            options => (options.AlternatingFlips, options.HorizontalFlip) = (false, false),
            "HorizontalFlip was true in the checkpoint and is false now");
        AssertRefused(_ => { }, options => options.BatchSize = 15, "BatchSize was 16 in the checkpoint and is 15 now");
        AssertRefused(_ => { }, options => options.Seed = 5, "Seed was 7 in the checkpoint and is 5 now");
        AssertRefused(_ => { }, options => options.CacheInMemory = false, "ShufflePoolSize was all images in the checkpoint and is 20 now");
        AssertRefused(
            _ => { }, options => options.ValidationFraction = 0.4, "ValidationFraction was 0.25 in the checkpoint and is 0.4 now");

        options.Checkpoints = new(folder);
        StringAssert.Contains(
            Assert.Throws<InvalidOperationException>(() => Fit(ml, options)).Message, "has checkpoints of an earlier training");

        void AssertRefused(Action<List<ColourRow>> changeRows, Action<WideNetImageClassifier.Options> change, string reason)
        {
            var changed = Change(false, options => options.Checkpoints = new(folder) { Resume = true });
            change(changed);
            var rows = Colours.Rows(60);
            changeRows(rows);
            StringAssert.Contains(Assert.Throws<InvalidOperationException>(() => Fit(ml, changed, rows)).Message, reason);
        }
    }

    [TestMethod]
    public void WhatNeedsNoData_IsRefusedBeforeTheyAreRead()
    {
        Fit(ml, Change(false, options => options.Checkpoints = new(folder))).Dispose();
        var read = 0;
        AssertRefused(options => options.Checkpoints = new(folder), "has checkpoints of an earlier training");
        AssertRefused(
            options => (options.Checkpoints, options.LearningRate) = (new CheckpointOptions(folder) { Resume = true }, 0.1),
            $"The training of the checkpoints in '{folder}' was another one and cannot be continued: LearningRate was 0.005");
        AssertRefused(
            options => (options.Checkpoints, options.AlternatingFlips, options.HorizontalFlip) =
                (new CheckpointOptions(folder) { Resume = true }, false, false),
            "HorizontalFlip was true in the checkpoint and is false now");
        Assert.AreEqual(0, read);

        void AssertRefused(Action<WideNetImageClassifier.Options> change, string reason)
        {
            var rows = ml
                .Transforms.Conversion.MapValueToKey("Label")
                .Fit(ml.Data.LoadFromEnumerable(Colours.Rows(60)))
                .Transform(ml.Data.LoadFromEnumerable(Count(Colours.Rows(60))));
            read = 0;
            StringAssert.Contains(
                Assert
                    .Throws<InvalidOperationException>(() =>
                        ml.MulticlassClassification.Trainers.WideNetImageClassifier(Change(false, change)).Fit(rows))
                    .Message,
                reason);
        }

        IEnumerable<ColourRow> Count(IEnumerable<ColourRow> rows)
        {
            foreach (var row in rows)
            {
                read++;
                yield return row;
            }
        }
    }

    [TestMethod]
    [DataRow("pre-training", 4, "Pre-training continues after 4 steps and 2 epochs")]
    [DataRow("pre-training", 0, "Pre-training continues after 6 steps and 3 epochs")]
    [DataRow("training", 2, "Training continues after 2 steps and 0 epochs")]
    public void PretrainingThatWasInterrupted_GoesOn_ToTheBit(string interrupted, int step, string announced)
    {
        using var whole = Fit(ml, WithPretraining(_ => { }));

        // Cancelled, a training writes a last checkpoint. After the pre-training there is its last one, until the training has one too:
        // the error in its first step leaves none.
        using var source = new CancellationTokenSource();
        var options = WithPretraining(options =>
            (options.Checkpoints, options.CancellationToken) = (new CheckpointOptions(folder), source.Token));
        Action<TrainingProgress> end = progress =>
        {
            if (step == 0)
                throw new TimeoutException();
            if (progress.Step == step)
                source.Cancel();
        };
        if (interrupted == "pre-training" && step > 0)
            options.Pretraining!.Progress = end;
        else
            options.Progress = end;
        if (step == 0)
            Assert.ThrowsExactly<TimeoutException>(() => Fit(ml, options));
        else
            Assert.Throws<OperationCanceledException>(() => Fit(ml, options));

        StringAssert.Contains(
            Assert.Throws<InvalidOperationException>(() => Fit(ml, WithPretraining(options => options.Checkpoints = new(folder)))).Message,
            "has checkpoints of an earlier training");
        var changed = WithPretraining(options => options.Checkpoints = new(folder) { Resume = true });
        changed.Pretraining!.Temperature = 1;
        StringAssert.Contains(
            Assert.Throws<InvalidOperationException>(() => Fit(ml, changed)).Message, "Temperature was 0.2 in the checkpoint and is 1 now");

        var logging = new MLContext(seed: 1);
        var log = new LogMessages(logging);
        using var resumed = Fit(logging, WithPretraining(options => options.Checkpoints = new(folder) { Resume = true }));
        Assert.IsTrue(log.All.Any(message => message.Contains(announced, StringComparison.Ordinal)), string.Join('\n', log.All));
        Assert.AreEqual(Hash(whole), Hash(resumed));

        static WideNetImageClassifier.Options WithPretraining(Action<WideNetImageClassifier.Options> change) => Change(false, options =>
            {
                (options.Epochs, options.Pretraining) = (
                    2,
                    new MoCoPretraining
                    {
                        Epochs = 3,
                        BatchSize = 20,
                        HiddenWidth = 16,
                        OutputWidth = 8,
                    }
                );   // two steps an epoch
                change(options);
            });
    }

    [TestMethod]
    public void WithoutASeed_ThatOfTheTrainingIsTakenUp()
    {
        var options = Change(false, options => (options.Checkpoints, options.Seed) = (new CheckpointOptions(folder), null));
        using var first = Fit(new MLContext(), options);
        options.Checkpoints = new(folder) { Resume = true };
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
                        typeof(MLContext)
                            .GetMethod("CancelExecution", BindingFlags.Instance | BindingFlags.NonPublic)!
                            .Invoke(cancelling, null);
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
        AssertRefused(options => options.Checkpoints = new(folder) { EverySteps = 0 }, "EverySteps is 0");
        AssertRefused(options => options.Checkpoints = new(folder) { Kept = 0 }, "Kept is 0");
        AssertRefused(options => options.Checkpoints = new(" "), "Folder is empty");
        AssertRefused(options => options.OnCancellation = (CancellationBehavior)7, "OnCancellation is 7");

        void AssertRefused(Action<WideNetImageClassifier.Options> change, string reason) =>
            StringAssert.Contains(
                Assert
                    .Throws<ArgumentException>(() => ml.MulticlassClassification.Trainers.WideNetImageClassifier(Change(false, change)))
                    .Message,
                reason);
    }

    [TestMethod]
    public void EveryEstimatorsOptions_CanBeDescribed()
    {
        foreach (
            var type in typeof(ImageClassificationOptions)
                .Assembly.GetTypes()
                .Where(type => type.IsSubclassOf(typeof(ImageClassificationOptions)) && !type.IsAbstract))
        {
            var description = ((ImageClassificationOptions)Activator.CreateInstance(type)!).Settled().Describe().ToDictionary();
            Assert.AreEqual("0.05", description[nameof(ImageClassificationOptions.LabelSmoothing)], type.FullName);
            Assert.IsFalse(
                description.Keys.Any(name =>
                    name.StartsWith("Checkpoint", StringComparison.Ordinal) || name.Contains("Column", StringComparison.Ordinal)),
                type.FullName);
        }
    }

    private static WideNetImageClassifier.Options Change(bool streamed, Action<WideNetImageClassifier.Options> change)
    {
        var options = Colours.Options();
        (options.Epochs, options.EmaDecay, options.ValidationFraction) = (4, 0.9, 0.25);
        options.Alter(a => a with { Dropout = 0.1 });   // 45 images, three steps an epoch
        (options.HorizontalFlip, options.RandomCropPadding, options.RandomErasing, options.Mixup) = (true, 1, 0.3, 0.2);
        options.AlternatingFlips = true;
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

using System.Globalization;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>A training that was interrupted goes on as if it had not been.</summary>
[TestClass]
public sealed class TrainingCheckpointTests
{
    private static string? uninterrupted;

    private readonly string folder = Path.Combine(Path.GetTempPath(), $"moe-ml-{Guid.NewGuid():n}");

    [TestCleanup]
    public void Delete()
    {
        if (Directory.Exists(folder))
            Directory.Delete(folder, recursive: true);
    }

    [TestMethod]
    [DataRow(0, DisplayName = "before the first batch")]
    [DataRow(1, DisplayName = "with the gradients of one batch")]
    [DataRow(3, DisplayName = "after an update")]
    [DataRow(8, DisplayName = "after the last batch of an epoch, before its update")]
    [DataRow(11, DisplayName = "in the second epoch")]
    [DataRow(20, DisplayName = "in the third epoch")]
    public void CancelledAfterAnyBatchItGoesOnToTheBit(int batch)
    {
        using var scope = NewDisposeScope();
        using var cancellation = new CancellationTokenSource();
        using (var first = Start(Checkpoints))
        {
            if (batch == 0)
                cancellation.Cancel();
            first.WithinBatch = () =>
            {
                if (first.BatchesDone == batch - 1)
                    cancellation.Cancel();
            };
            Assert.Throws<OperationCanceledException>(() => first.Run(cancellationToken: cancellation.Token));
            Assert.AreEqual(batch, first.BatchesDone);
        }

        using var second = Start(Checkpoints with { Resume = true });
        AssertAsWithoutInterruption(second, second.Run());
        Assert.AreEqual(22 - batch, second.BatchesDone, "no batch is done twice");
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    public void CancelledInAValidationItBeginsTheValidationAgain(int epoch)
    {
        using var scope = NewDisposeScope();
        using var cancellation = new CancellationTokenSource();
        using (var first = Start(Checkpoints))
        {
            int validations = 0;
            first.WithinValidation = () =>
            {
                if (++validations == epoch)
                    cancellation.Cancel();
            };
            Assert.Throws<OperationCanceledException>(() => first.Run(cancellationToken: cancellation.Token));
        }

        using var second = Start(Checkpoints with { Resume = true });
        AssertAsWithoutInterruption(second, second.Run());
    }

    [TestMethod]
    public void BrokenOffAfterAnyCheckpointItGoesOnToTheBit()
    {
        using var scope = NewDisposeScope();
        for (int update = 1; update <= 8; update++)
        {
            using (var first = Start(Checkpoints with { EverySteps = 1 }))
            {
                // An error, and not a cancellation: no checkpoint is written on the way out.
                first.WithinBatch = () =>
                {
                    if (first.BatchesDone == (update * 3) - ((update - 1) / 3))
                        throw new InvalidOperationException("from within");
                };
                if (update < 8)
                    Assert.Throws<InvalidOperationException>(() => first.Run());
                else
                    first.Run();
            }
            using (var second = Start(Checkpoints with { EverySteps = 1, Resume = true }))
                AssertAsWithoutInterruption(second, second.Run());
            Delete();
        }
    }

    [TestMethod]
    [DataRow(OptimizerKind.Lamb)]
    [DataRow(OptimizerKind.Sgd)]
    [DataRow(OptimizerKind.Muon)]
    public void EveryOptimizerGoesOn(OptimizerKind optimizer)
    {
        using var scope = NewDisposeScope();
        var options = CheckpointedTraining.Options.With(o => o.Optimizer = optimizer);
        using var whole = new CheckpointedTraining(options);
        var expected = CheckpointedTraining.Describe(whole.Run());
        using (var first = new CheckpointedTraining(options.With(o => o.Checkpoints = Checkpoints)))
        {
            using var cancellation = new CancellationTokenSource();
            first.WithinBatch = () =>
            {
                if (first.BatchesDone == 12)
                    cancellation.Cancel();
            };
            Assert.Throws<OperationCanceledException>(() => first.Run(cancellationToken: cancellation.Token));
        }

        using var second = new CheckpointedTraining(options.With(o => o.Checkpoints = Checkpoints with { Resume = true }));
        Assert.AreEqual(expected, CheckpointedTraining.Describe(second.Run()));
        Assert.AreEqual(whole.Hash(), second.Hash());
    }

    [TestMethod]
    public async Task ProcessesThatAreKilledAtRandomMomentsEndAsOneThatIsNot()
    {
        var (random, kills) = (new Random(11), 0);
        for (int attempt = 0; attempt < 20; attempt++)
        {
            // Killed some time after an update that is drawn anew: within a batch, within the writing of a checkpoint, wherever it may be.
            var output = await ChildProcess.RunUntil(
                "training with checkpoints",
                [("MOE_ML_TEST_FOLDER", folder)],
                stopAfter: attempt < 5 ? "step " : null,
                lines: random.Next(1, 3),
                delay: TimeSpan.FromMilliseconds(random.Next(20)));
            if (output.Contains("weights", StringComparison.Ordinal))
            {
                Assert.AreEqual(
                    $"weights {Uninterrupted()}",
                    output.Split('\n').Single(line => line.StartsWith("weights", StringComparison.Ordinal)).Trim(),
                    output);
                Assert.IsTrue(kills >= 3, $"only {kills} processes were killed");
                return;
            }
            Assert.IsFalse(output.Contains("Exception", StringComparison.Ordinal), output);
            kills++;
        }
        Assert.Fail("the training made no progress");
    }

    /// <summary>What the child process does; see <see cref="ChildProcess"/>.</summary>
    public static string TrainInChild(string folder)
    {
        TorchRuntime.Initialize();
        set_num_threads(1);
        using var scope = NewDisposeScope();
        using var training = new CheckpointedTraining(
            CheckpointedTraining.Options.With(o =>
            {
                o.ProgressInterval = 1;
                o.Checkpoints = new(folder) { EverySteps = 1, Resume = true };
            }));
        var result = training.Run(progress => Console.WriteLine($"step {progress.Step}"));
        return $"weights {training.Hash()} {training.Companion.Sum:R} {CheckpointedTraining.Describe(result)}".Replace('\n', '|');
    }

    [TestMethod]
    [DataRow("cut off")]
    [DataRow("one bit")]
    [DataRow("empty")]
    [DataRow("header")]
    public void ADamagedNewestCheckpointGivesWayToTheOneBeforeIt(string damage)
    {
        using var scope = NewDisposeScope();
        using (var first = Start(Checkpoints with { EverySteps = 1, Kept = 3 }))
        {
            first.WithinBatch = () =>
            {
                if (first.BatchesDone == 13)
                    throw new InvalidOperationException("from within");
            };
            Assert.Throws<InvalidOperationException>(() => first.Run());
        }
        var newest = Path.Combine(folder, "checkpoint-000000004.safetensors");
        CollectionAssert.AreEqual(new[] { 2, 3, 4 }, Steps());
        var bytes = File.ReadAllBytes(newest);
        switch (damage)
        {
            case "cut off":
                bytes = bytes[..(bytes.Length / 2)];
                break;
            case "one bit":
                bytes[^100] ^= 4;
                break;
            case "header":
                bytes[200] ^= 1;
                break;
            default:
                bytes = [];
                break;
        }
        File.WriteAllBytes(newest, bytes);
        File.WriteAllBytes(Path.Combine(folder, "checkpoint-000000005.safetensors.tmp"), bytes);

        using (var second = Start(Checkpoints with { EverySteps = 1, Kept = 1, Resume = true }))
        {
            AssertAsWithoutInterruption(second, second.Run());
            Assert.AreEqual(1, second.Warnings.Count);
            StringAssert.Contains(second.Warnings[0], "checkpoint-000000004.safetensors' cannot be read");
            Assert.AreEqual(14, second.BatchesDone, "22 in all, 8 by the third update");
        }
        CollectionAssert.AreEqual(new[] { 8 }, Steps());
        Assert.IsEmpty(Directory.GetFiles(folder, "*.tmp"));
    }

    [TestMethod]
    public void WhereNoCheckpointCanBeReadTrainingDoesNotStartAfreshBehindOnesBack()
    {
        using var scope = NewDisposeScope();
        using (var first = Start(Checkpoints))
            first.Run();
        foreach (var file in Directory.GetFiles(folder))
            File.WriteAllText(file, "something else");

        foreach (var attempt in new[] { 2, 3 })   // the same command again must not start afresh either
        {
            using var next = Start(Checkpoints with { Resume = true });
            StringAssert.Contains(
                Assert.Throws<InvalidDataException>(() => next.Run()).Message, "None of the 2 checkpoints", $"attempt {attempt}");
            Assert.AreEqual(0, next.BatchesDone);
        }
    }

    [TestMethod]
    public void TheNewestCheckpointsStayAndThoseOfEpochsAndOfTheEndAreWritten()
    {
        using var scope = NewDisposeScope();
        var seen = new List<int[]>();
        using (var training = Start(Checkpoints with { EverySteps = 2, EveryEpochs = 2, Kept = 2 }))
        {
            training.WithinBatch = () => seen.Add(Directory.Exists(folder) ? Steps() : []);
            training.Run();
        }

        CollectionAssert.AreEqual(Array.Empty<int>(), seen[5]);
        CollectionAssert.AreEqual(new[] { 2 }, seen[6]);
        CollectionAssert.AreEqual(new[] { 2 }, seen[8], "the first epoch is none of every second");
        CollectionAssert.AreEqual(new[] { 2, 4 }, seen[11]);
        CollectionAssert.AreEqual(new[] { 4, 6 }, seen[16]);
        CollectionAssert.AreEqual(new[] { 6, 8 }, Steps());
    }

    [TestMethod]
    public void ATrainingThatHadEndedGivesItsResultAgain()
    {
        using var scope = NewDisposeScope();
        using (var first = Start(Checkpoints))
            first.Run();

        using var second = Start(Checkpoints with { Resume = true });
        AssertAsWithoutInterruption(second, second.Run());
        Assert.AreEqual(0, second.BatchesDone);
    }

    [TestMethod]
    public void AFolderWithCheckpointsIsNotTakenForANewTrainingNorByTwoAtOnce()
    {
        using var scope = NewDisposeScope();
        using (var first = Start(Checkpoints))
        {
            first.WithinBatch = () =>
            {
                if (first.BatchesDone > 0)
                    return;
                using var other = Start(Checkpoints with { Resume = true });
                StringAssert.Contains(
                    Assert.Throws<InvalidOperationException>(() => other.Run()).Message, "another training may be using it");
            };
            first.Run();
        }

        using var second = Start(Checkpoints);
        var message = Assert.Throws<InvalidOperationException>(() => second.Run()).Message;
        StringAssert.Contains(message, "has checkpoints of an earlier training (the newest: checkpoint-000000008.safetensors)");
        StringAssert.Contains(message, "Set Resume");
    }

    [TestMethod]
    public void ChangedOptionsModelsOrDataAreRefusedByName()
    {
        using var scope = NewDisposeScope();
        var options = CheckpointedTraining.Options.With(o => o.Checkpoints = Checkpoints);
        using (var first = Start(Checkpoints))
            first.Run();
        options = options.With(o => o.Checkpoints = Checkpoints with { Resume = true });

        AssertRefused(options.With(o => o.LearningRate = 0.01), "LearningRate was 0.005 in the checkpoint and is 0.01 now.");
        AssertRefused(
            options.With(o =>
            {
                o.EarlyStopping = new() { Patience = 9 };
                o.Beta1 = 0.8;
            }),
            "Beta1 was 0.9 in the checkpoint and is 0.8 now; EarlyStopping was null in the checkpoint and is not there now; "
                + "EarlyStopping.MinDelta was not there");
        AssertRefused(options.With(o => o.Optimizer = OptimizerKind.Sgd), "Optimizer was AdamW in the checkpoint and is Sgd now");

        using var training = new CheckpointedTraining(options);
        var other = new TrainingLoop<int>(training.Model, _ => throw new InvalidOperationException(), options)
        {
            Companions = [training.Companion],
            Identity = new Dictionary<string, string> { ["Images"] = "60" },
        };
        StringAssert.Contains(
            Assert.Throws<InvalidOperationException>(() => other.Run(new NumberedBatches(8), _ => new(0, 0, "", true))).Message,
            "Images was not there in the checkpoint and is 60 now");
        StringAssert.Contains(
            Assert.Throws<InvalidOperationException>(() => other.Run(new NumberedBatches(7))).Message,
            "Validation was after every epoch in the checkpoint and is none now");

        static void AssertRefused(TrainingOptions options, string reason)
        {
            using var training = new CheckpointedTraining(options);
            var before = training.Hash();
            StringAssert.Contains(Assert.Throws<InvalidOperationException>(() => training.Run()).Message, reason);
            Assert.AreEqual(before, training.Hash());
            Assert.AreEqual(0, training.BatchesDone);
        }
    }

    [TestMethod]
    public void OtherThreadsAreAllowedWithAWarning()
    {
        using var scope = NewDisposeScope();
        using var threads = new ThreadScope(1);
        using (var first = Start(Checkpoints with { EverySteps = 1 }))
        {
            first.WithinBatch = () =>
            {
                if (first.BatchesDone == 10)
                    throw new InvalidOperationException("from within");
            };
            Assert.Throws<InvalidOperationException>(() => first.Run());
        }

        using var more = new ThreadScope(2);
        using var second = Start(Checkpoints with { EverySteps = 1, Resume = true });
        Assert.AreEqual(8, second.Run().Steps);
        StringAssert.Contains(second.Warnings.Single(), "other circumstances");
        StringAssert.Contains(second.Warnings.Single(), "Threads was 1 in the checkpoint and is 2 now");
    }

    [TestMethod]
    public void TheTimeThatTrainingHadTakenCounts()
    {
        using var scope = NewDisposeScope();
        var (options, rates) = (
            new TrainingOptions
            {
                Epochs = 100,
                MaxTime = TimeSpan.FromSeconds(10),
                WarmupSteps = 0,
                LearningRate = 1,
                FinalLearningRate = 0,
                LearningRateDecay = LearningRateDecay.Linear,
            },
            new List<double>());
        Assert.AreEqual(StopReason.TimeLimit, Train(checkpoints: null, failAt: -1).StopReason);
        var expected = rates.ToArray();
        Assert.AreEqual(10, expected.Length);

        rates.Clear();
        Assert.Throws<InvalidOperationException>(() => Train(Checkpoints with { EverySteps = 1 }, failAt: 6));
        Assert.AreEqual(StopReason.TimeLimit, Train(Checkpoints with { EverySteps = 1, Resume = true }, failAt: -1).StopReason);

        CollectionAssert.AreEqual(expected, rates);

        // Every batch takes a second.
        TrainingResult Train(CheckpointOptions? checkpoints, int failAt)
        {
            var clock = new TickingClock();
            using var model = new ScalarModule();
            var loop = new TrainingLoop<int>(
                model,
                number =>
                {
                    if (number == failAt)
                        throw new InvalidOperationException("from within");
                    clock.Seconds++;
                    return model.SquaredValue();
                },
                options.With(o => (o.Checkpoints, o.ProgressInterval) = (checkpoints, 1)))
            { Clock = clock };
            return loop.Run(new NumberedBatches(20), progress: report =>
            {
                if (!report.EpochCompleted)
                    rates.Add(report.LearningRate);
            });
        }
    }

    private sealed class TickingClock : TimeProvider
    {
        public long Seconds { get; set; }

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Seconds;
    }

    [TestMethod]
    public void ACheckpointThatCannotBeWrittenCostsAWarningAndNotTheTraining()
    {
        using var scope = NewDisposeScope();
        _ = Directory.CreateDirectory(Path.Combine(folder, "checkpoint-000000002.safetensors.tmp"));

        using var training = Start(Checkpoints with { EverySteps = 1 });
        AssertAsWithoutInterruption(training, training.Run());

        StringAssert.Contains(
            training.Warnings.Single(), "checkpoint-000000002.safetensors' could not be written, and training goes on without it");
        CollectionAssert.AreEqual(new[] { 7, 8 }, Steps());
    }

    [TestMethod]
    public void RowGradientsOfAModulesOwnOptimizerAreKeptTooAndNoTensorIsLeft()
    {
        using var scope = NewDisposeScope();
        var options = new TrainingOptions { Epochs = 1, GradientAccumulation = 2, Checkpoints = Checkpoints };
        var (expected, _, left) = Train(options.With(o => o.Checkpoints = null), cancelAt: -1);
        _ = Train(options, cancelAt: 2);   // after the third batch, with the gradients of one
        var (found, done, alsoLeft) = Train(options.With(o => o.Checkpoints = Checkpoints with { Resume = true }), cancelAt: -1);

        Assert.AreEqual(left, alsoLeft, "tensors of the model itself");
        Assert.AreEqual(2, done);
        CollectionAssert.AreEqual(expected, found);

        static (float[] Values, int Batches, long TensorsLeft) Train(TrainingOptions options, int cancelAt)
        {
            long before = LiveTensors.Count();
            using var cancellation = new CancellationTokenSource();
            using var model = new TableModule(rows: 6, width: 3);
            var done = 0;
            var loop = new TrainingLoop<int>(
                model,
                i =>
                {
                    if (i == cancelAt)
                        cancellation.Cancel();
                    done++;
                    return new((model.call(tensor(new long[] { i, 5 })) - i).square().mean(), zeros([]), Samples: i + 1);
                },
                options);
            try
            {
                loop.Run(new NumberedBatches(5), cancellationToken: cancellation.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.AreEqual(cancelAt + 1, done);
            }
            return ([.. model.Table.data<float>(), .. model.Weight.data<float>()], done, Tensor.TotalCount - before);
        }
    }

    private CheckpointOptions Checkpoints => new(folder);

    private static CheckpointedTraining Start(CheckpointOptions checkpoints) =>
        new(CheckpointedTraining.Options.With(o => o.Checkpoints = checkpoints));

    private int[] Steps() =>
        [
            .. Directory
                .GetFiles(folder, "*.safetensors")
                .Select(path => int.Parse(Path.GetFileName(path)[11..20], CultureInfo.InvariantCulture))
                .Order(),
        ];

    private static void AssertAsWithoutInterruption(CheckpointedTraining training, TrainingResult result)
    {
        uninterrupted ??= Reference();
        Assert.AreEqual(uninterrupted, $"{training.Hash()} {training.Companion.Sum:R} {CheckpointedTraining.Describe(result)}");

        static string Reference()
        {
            using var training = new CheckpointedTraining(CheckpointedTraining.Options);
            var result = training.Run();
            return $"{training.Hash()} {training.Companion.Sum:R} {CheckpointedTraining.Describe(result)}";
        }
    }

    // In the child there is one thread.
    private static string Uninterrupted()
    {
        using var scope = NewDisposeScope();
        using var threads = new ThreadScope(1);
        using var training = new CheckpointedTraining(CheckpointedTraining.Options);
        var result = training.Run();
        return $"{training.Hash()} {training.Companion.Sum:R} {CheckpointedTraining.Describe(result)}".Replace('\n', '|');
    }
}

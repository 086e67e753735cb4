using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>When a training ends before its last epoch, and with which weights.</summary>
[TestClass]
public sealed class TrainingLoopEndTests
{
    private static readonly TrainingOptions Options = new() { Epochs = 3, LearningRate = 0.05, WeightDecay = 0 };

    [TestMethod]
    [DataRow(false, MonitoredQuantity.Metric)]
    [DataRow(true, MonitoredQuantity.Metric)]
    [DataRow(true, MonitoredQuantity.Loss)]
    public void EarlyStoppingEndsTrainingAndRestoresTheBestEpoch(bool higherIsBetter, MonitoredQuantity monitor)
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        double[] quality = [0.5, 0.7, 0.9, 0.8, 0.85, 1, 1];
        var values = new List<float>();
        ValidationResult Validate(CancellationToken _)
        {
            model.eval();
            values.Add(model.Value.item<float>());
            double score = quality[values.Count - 1];
            return monitor == MonitoredQuantity.Loss
                ? new(double.NaN, -score, "Accuracy", true)
                : new(higherIsBetter ? score : -score, 0, "M", higherIsBetter);
        }

        var options = Options.With(o => (o.Epochs, o.EarlyStopping, o.Monitor) = (7, new EarlyStopping { Patience = 2 }, monitor));
        var result = new TrainingLoop<int>(model, _ => model.SquaredValue(), options).Run(new NumberedBatches(5), Validate);

        Assert.AreEqual(StopReason.EarlyStopping, result.StopReason);
        Assert.AreEqual(5, result.Epochs.Count);
        Assert.AreEqual(3, result.BestEpoch!.Epoch);
        Assert.IsTrue(result.BestWeightsRestored);
        Assert.AreEqual(values[2], model.Value.item<float>());
        Assert.AreNotEqual(values[4], model.Value.item<float>());
        Assert.AreSame(result.Epochs[2].Validation, result.BestEpoch.Validation);
    }

    [TestMethod]
    public void TimeEndsTraining_AndLaysOutTheLearningRate()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        var clock = new ManualClock();
        var rates = new List<double>();
        var expected = new List<int>();
        var options = Options.With(o =>
            (o.Epochs, o.WarmupFraction, o.FinalLearningRate, o.LearningRateDecay, o.MaxTime, o.ProgressInterval) = (
                1000, 0, 0, LearningRateDecay.Linear, TimeSpan.FromSeconds(8), 1));
        var loop = new TrainingLoop<int>(
            model,
            _ =>
            {
                clock.Advance(TimeSpan.FromSeconds(1));
                return model.SquaredValue();
            },
            options)
        { Clock = clock };
        var result = loop.Run(new NumberedBatches(5), progress: progress =>
        {
            if (progress.EpochCompleted)
                return;
            rates.Add(progress.LearningRate);
            expected.Add(progress.TotalSteps);
        });

        Assert.AreEqual((StopReason.TimeLimit, 8), (result.StopReason, result.Steps));
        Assert.AreEqual(2, result.Epochs.Count);
        for (var step = 0; step < 8; step++)
            Assert.AreEqual(0.05 * (1 - ((step + 1) / 8.0)), rates[step], 1e-9, "a step's rate is that of the time at which it is made");
        CollectionAssert.AreEqual(Enumerable.Repeat(8, 8).ToArray(), expected, "what training will take at this speed");
        StringAssert.StartsWith(
            Assert.ThrowsExactly<ArgumentException>((Options.With(o => o.MaxTime = TimeSpan.Zero)).Validate).Message, "MaxTime");
    }

    [TestMethod]
    public void TimeThatSuffices_ChangesNothing()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        using var other = new ScalarModule();
        var result = new TrainingLoop<int>(model, _ => model.SquaredValue(), Options.With(o => o.MaxTime = TimeSpan.FromSeconds(1)))
        {
            Clock = new ManualClock(),
        }.Run(new NumberedBatches(4));
        new TrainingLoop<int>(other, _ => other.SquaredValue(), Options).Run(new NumberedBatches(4));
        Assert.AreEqual((StopReason.EpochsCompleted, 12), (result.StopReason, result.Steps));
        Assert.AreEqual(other.Value.item<float>(), model.Value.item<float>());
    }

    [TestMethod]
    public void AnImprovementBelowMinDeltaCostsPatienceButIsKept()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        double[] quality = [0.5, 0.52, 0.54, 0.7];
        int epoch = 0;

        var options = Options.With(o => (o.Epochs, o.EarlyStopping) = (4, new EarlyStopping { Patience = 2, MinDelta = 0.05 }));
        var result = new TrainingLoop<int>(model, _ => model.SquaredValue(), options).Run(new NumberedBatches(1), _ =>
            new(quality[epoch++], 0, "Accuracy", true));

        Assert.AreEqual(3, result.Epochs.Count);
        Assert.AreEqual(3, result.BestEpoch!.Epoch);
    }

    [TestMethod]
    public void TheLastWeightsStayWhereTheBestAreNotWanted()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        var values = new List<float>();

        var result = new TrainingLoop<int>(model, _ => model.SquaredValue(), Options.With(o => o.KeepBestWeights = false)).Run(
            new NumberedBatches(2),
            _ =>
            {
                values.Add(model.Value.item<float>());
                return new(-values.Count, 0, "Accuracy", true);
            }
        );

        Assert.AreEqual(1, result.BestEpoch!.Epoch);
        Assert.IsFalse(result.BestWeightsRestored);
        Assert.AreEqual(values[2], model.Value.item<float>());
    }

    [TestMethod]
    public void TheStepLimitEndsTrainingWithinAnEpoch()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        int validations = 0;

        var result = new TrainingLoop<int>(model, _ => model.SquaredValue(), Options.With(o => o.MaxSteps = 7))
            .Run(new NumberedBatches(5) { BatchesPerEpoch = null }, _ => new(++validations, 0, "Accuracy", true));

        Assert.AreEqual(StopReason.StepLimit, result.StopReason);
        Assert.AreEqual(7, result.Steps);
        Assert.AreEqual(2, result.Epochs[1].Averages.Steps);
        Assert.AreEqual(2, validations);
    }

    [TestMethod]
    public void CancellationStopsBeforeTheNextUpdateAndDisposesTheBatch()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(3, 1);
        using var cancellation = new CancellationTokenSource();
        var data = new RegressionBatches(batches: 20);
        int updates = 0;
        var loop = new TrainingLoop<RegressionBatch>(
            model,
            batch =>
            {
                if (++updates == 5)
                    cancellation.Cancel();
                return batch.SquaredError(model);
            },
            Options);
        long before = LiveTensors.Count();

        Assert.ThrowsExactly<OperationCanceledException>(() =>
            loop.Run(new PrefetchingBatchSource<RegressionBatch>(data), cancellationToken: cancellation.Token));

        Assert.AreEqual(5, updates);
        Assert.AreEqual(before, Tensor.TotalCount);
    }
}

using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

[TestClass]
public sealed class TrainingLoopTests
{
    private static readonly TrainingOptions Options = new() { Epochs = 3, LearningRate = 0.05, WeightDecay = 0 };

    [TestMethod]
    public void ALinearModelFindsTheWeightsThatMadeItsData()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(3, 1);
        var loop = new TrainingLoop<Batch>(model, batch => SquaredError(model, batch), Options with { Epochs = 40, LearningRate = 0.1, FinalLearningRate = 0 });

        var result = loop.Run(new Regression(batches: 20));

        AssertWeights(model, [2, -1, 0.5f], 3, 1e-3);
        Assert.AreEqual(800, result.Steps);
        Assert.AreEqual(40, result.Epochs.Count);
        Assert.AreEqual(StopReason.EpochsCompleted, result.StopReason);
        Assert.IsTrue(result.Epochs[^1].Averages.Loss < 1e-5 && result.Epochs[0].Averages.Loss > 0.1);
        Assert.IsNull(result.BestEpoch);
        Assert.IsFalse(result.BestWeightsRestored);
    }

    [TestMethod]
    public void AThousandStepsLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.1), nn.Linear(4, 1));
        var counts = new List<long>();
        var loop = new TrainingLoop<Batch>(
            model, batch => SquaredError(model, batch) with { ExpertCounts_BE = ones([2, 3], int64), DroppedCounts_B = ones([2], int64) }, Options with { Epochs = 11, ProgressInterval = 50 });
        long before = Tensor.TotalCount;

        loop.Run(new Regression(batches: 100), progress: report => counts.Add(Tensor.TotalCount));

        Assert.AreEqual(counts[1], counts[^2]);   // at the end of a first hundred steps, and a thousand later
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void TheSameSeedGivesTheSameWeightsAndAnotherSeedOthers()
    {
        using var scope = NewDisposeScope();
        float[] first = Train(seed: 1), second = Train(seed: 1), other = Train(seed: 2);

        CollectionAssert.AreEqual(first, second);
        CollectionAssert.AreNotEqual(first, other);

        static float[] Train(ulong seed)
        {
            random.manual_seed((long)seed);
            using var model = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.Dropout(0.2), nn.Linear(8, 1));
            new TrainingLoop<Batch>(model, batch => SquaredError(model, batch), Options).Run(new PrefetchingBatchSource<Batch>(new Regression(batches: 10)));
            return model.parameters().SelectMany(parameter => parameter.data<float>().ToArray()).ToArray();
        }
    }

    [TestMethod]
    public void AnUpdateFollowsTheScheduleAndClipsTheGradients()
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        var options = new TrainingOptions { Epochs = 1, LearningRate = 0.5, FinalLearningRate = 0.1, WarmupSteps = 2, WeightDecay = 0, GradientClipNorm = 1, ProgressInterval = 1 };
        var reports = new List<TrainingProgress>();

        // The gradient is 8 at every step, so that AdamW moves by the learning rate; clipped or not shows in the reported norm alone.
        new TrainingLoop<int>(model, _ => new(model.Value * 8, zeros([]), 1), options).Run(new Numbers(4), progress: reports.Add);

        var steps = reports.Where(report => !report.EpochCompleted).ToArray();
        double[] rates = [0.5 / 3, 1.0 / 3, 0.5, 0.3];
        for (int i = 0; i < 4; i++)
        {
            Assert.AreEqual(rates[i], steps[i].LearningRate, 1e-12);
            Assert.AreEqual(8, steps[i].Averages.GradientNorm!.Value, 1e-5);
            Assert.AreEqual(i + 1, steps[i].Step);
        }
        Assert.AreEqual(1 - rates.Sum(), model.Value.item<float>(), 1e-5);
    }

    [TestMethod]
    public void MainAndAuxiliaryLossAreBothMinimised()
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        var options = Options with { Epochs = 1, LearningRate = 0.1, FinalLearningRate = 0 };

        new TrainingLoop<int>(model, _ => new((model.Value - 2).square(), (model.Value + 1).square(), 1), options).Run(new Numbers(300));

        Assert.AreEqual(0.5, model.Value.item<float>(), 1e-3);   // where 2(w - 2) + 2(w + 1) = 0
    }

    [TestMethod]
    public void ProgressReportsMeansOverTheStepsSinceTheLastReportAndOverTheEpoch()
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        var reports = new List<TrainingProgress>();
        StepLoss Loss(int n) => new(
            (model.Value * 0) + n, (model.Value * 0) + (10 * n), Samples: n + 1, tensor(new long[,] { { 1, 3, 0 }, { n, n, n } }), tensor(new long[] { 1, n }));

        var result = new TrainingLoop<int>(model, Loss, Options with { Epochs = 2, ProgressInterval = 2 }).Run(new Numbers(3), progress: reports.Add);

        // Losses 0, 1, 2 weigh 1, 2, 3 samples. The step counter runs on through the epochs: reports come after steps 2, 3 (end), 4, 6, 6 (end).
        CollectionAssert.AreEqual(new[] { 2, 3, 4, 6, 6 }, reports.Select(report => report.Step).ToArray());
        CollectionAssert.AreEqual(new[] { false, true, false, false, true }, reports.Select(report => report.EpochCompleted).ToArray());
        CollectionAssert.AreEqual(new[] { 1, 1, 2, 2, 2 }, reports.Select(report => report.Epoch).ToArray());
        double[] losses = [2.0 / 3, 8.0 / 6, 0, 8.0 / 5, 8.0 / 6];
        for (int i = 0; i < reports.Count; i++)
        {
            Assert.AreEqual(losses[i], reports[i].Loss, 1e-6);
            Assert.AreEqual(10 * losses[i], reports[i].AuxiliaryLoss, 1e-5);
            Assert.IsTrue(reports[i].SamplesPerSecond > 0);
            Assert.AreEqual(6, reports[i].TotalSteps);
            CollectionAssert.AreEqual(new[] { 0.25, 0.75, 0 }, reports[i].ExpertLoad![0].Fractions.ToArray());
            Assert.AreEqual(0.25, reports[i].ExpertLoad![0].DroppedFraction, 1e-12);
            Assert.AreEqual(0.875, reports[i].ExpertLoad![0].SquaredVariation, 1e-12);   // mean 4/3: (1/9 + 25/9 + 16/9) / 3 / (16/9)
        }
        CollectionAssert.AreEqual(new long[] { 3, 3, 3 }, reports[1].ExpertLoad![1].Counts.ToArray());
        Assert.AreEqual(3, reports[1].ExpertLoad![1].Dropped);
        Assert.AreEqual(6, result.Epochs[1].Averages.Samples);
        Assert.AreEqual(3, result.Epochs[1].Averages.Steps);
    }

    [TestMethod]
    [DataRow(false, MonitoredQuantity.Metric)]
    [DataRow(true, MonitoredQuantity.Metric)]
    [DataRow(true, MonitoredQuantity.Loss)]
    public void EarlyStoppingEndsTrainingAndRestoresTheBestEpoch(bool higherIsBetter, MonitoredQuantity monitor)
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        double[] quality = [0.5, 0.7, 0.9, 0.8, 0.85, 1, 1];
        var values = new List<float>();
        ValidationResult Validate(CancellationToken _)
        {
            model.eval();
            values.Add(model.Value.item<float>());
            double score = quality[values.Count - 1];
            return monitor == MonitoredQuantity.Loss ? new(double.NaN, -score, "Accuracy", true) : new(higherIsBetter ? score : -score, 0, "M", higherIsBetter);
        }

        var options = Options with { Epochs = 7, EarlyStopping = new EarlyStopping { Patience = 2 }, Monitor = monitor };
        var result = new TrainingLoop<int>(model, _ => LossInTrainingMode(model), options).Run(new Numbers(5), Validate);

        Assert.AreEqual(StopReason.EarlyStopping, result.StopReason);
        Assert.AreEqual(5, result.Epochs.Count);
        Assert.AreEqual(3, result.BestEpoch!.Epoch);
        Assert.IsTrue(result.BestWeightsRestored);
        Assert.AreEqual(values[2], model.Value.item<float>());
        Assert.AreNotEqual(values[4], model.Value.item<float>());
        Assert.AreSame(result.Epochs[2].Validation, result.BestEpoch.Validation);
    }

    [TestMethod]
    public void AnImprovementBelowMinDeltaCostsPatienceButIsKept()
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        double[] quality = [0.5, 0.52, 0.54, 0.7];
        int epoch = 0;

        var options = Options with { Epochs = 4, EarlyStopping = new EarlyStopping { Patience = 2, MinDelta = 0.05 } };
        var result = new TrainingLoop<int>(model, _ => LossInTrainingMode(model), options).Run(new Numbers(1), _ => new(quality[epoch++], 0, "Accuracy", true));

        Assert.AreEqual(3, result.Epochs.Count);
        Assert.AreEqual(3, result.BestEpoch!.Epoch);
    }

    [TestMethod]
    public void TheLastWeightsStayWhereTheBestAreNotWanted()
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        var values = new List<float>();

        var result = new TrainingLoop<int>(model, _ => LossInTrainingMode(model), Options with { KeepBestWeights = false }).Run(new Numbers(2), _ =>
        {
            values.Add(model.Value.item<float>());
            return new(-values.Count, 0, "Accuracy", true);
        });

        Assert.AreEqual(1, result.BestEpoch!.Epoch);
        Assert.IsFalse(result.BestWeightsRestored);
        Assert.AreEqual(values[2], model.Value.item<float>());
    }

    [TestMethod]
    public void TheStepLimitEndsTrainingWithinAnEpoch()
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        int validations = 0;

        var result = new TrainingLoop<int>(model, _ => LossInTrainingMode(model), Options with { MaxSteps = 7 })
            .Run(new Numbers(5) { BatchesPerEpoch = null }, _ => new(++validations, 0, "Accuracy", true));

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
        var data = new Regression(batches: 20);
        int updates = 0;
        var loop = new TrainingLoop<Batch>(
            model,
            batch =>
            {
                if (++updates == 5)
                    cancellation.Cancel();
                return SquaredError(model, batch);
            },
            Options);
        long before = Tensor.TotalCount;

        Assert.ThrowsExactly<OperationCanceledException>(() => loop.Run(new PrefetchingBatchSource<Batch>(data), cancellationToken: cancellation.Token));

        Assert.AreEqual(5, updates);
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    [DataRow(float.NaN, 0f, "The loss became NaN")]
    [DataRow(float.PositiveInfinity, 0f, "The loss became infinite")]
    [DataRow(0f, float.NaN, "The auxiliary loss became NaN")]
    public void ALossThatIsNotFiniteStopsTrainingAndSparesTheWeights(float main, float auxiliary, string message)
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        int step = 0;
        float value = 0;
        StepLoss Loss(int _)
        {
            value = model.Value.item<float>();
            return ++step < 3 ? LossInTrainingMode(model) : new(model.Value * main, model.Value * auxiliary, 1);
        }

        var exception = Assert.ThrowsExactly<TrainingDivergedException>(() => new TrainingLoop<int>(model, Loss, Options with { GradientClipNorm = null }).Run(new Numbers(10)));

        StringAssert.StartsWith(exception.Message, $"{message} at step 3, where the learning rate was 0.0");
        StringAssert.Contains(exception.Message, "lower LearningRate, a longer warm-up (WarmupFraction or WarmupSteps), ");   // estimators have the fraction only
        Assert.AreEqual(3, exception.Step);
        Assert.AreEqual(3, step);
        Assert.AreEqual(value, model.Value.item<float>());
        Assert.IsTrue(exception.LearningRate > 0);
    }

    [TestMethod]
    public void AGradientThatIsNotFiniteStopsTrainingAndSparesTheWeights()
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();

        var exception = Assert.ThrowsExactly<TrainingDivergedException>(
            () => new TrainingLoop<int>(model, _ => new(((model.Value * 0) + 0).sqrt(), zeros([]), 1), Options).Run(new Numbers(10)));   // finite, but its slope is 0 · ∞

        StringAssert.StartsWith(exception.Message, "The norm of the gradients became NaN at step 1");
        Assert.AreEqual(1, model.Value.item<float>());
    }

    [TestMethod]
    public void DataWithoutRowsAndUnknownLengthAreNamed()
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        var loop = new TrainingLoop<int>(model, _ => LossInTrainingMode(model), Options);

        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => loop.Run(new Numbers(0))).Message, "training data has no rows");
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => loop.Run(new Numbers(5) { BatchesPerEpoch = null })).Message, "MaxSteps");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new TrainingLoop<int>(model, _ => LossInTrainingMode(model), Options with { EarlyStopping = new() }).Run(new Numbers(5))).Message,
            "EarlyStopping");
    }

    [TestMethod]
    public void AModuleWithoutTrainableParametersIsRefused()
    {
        using var model = nn.ReLU();

        Assert.ThrowsExactly<ArgumentException>(() => new TrainingLoop<int>(model, _ => new(zeros([]), zeros([]), 1), Options));
    }

    [TestMethod]
    [DataRow(true)]
    [DataRow(false)]
    public void TheModuleGetsItsModeBackAndKeepsNoGradients(bool training)
    {
        using var scope = NewDisposeScope();
        using var model = new Scalar();
        model.train(training);

        new TrainingLoop<int>(model, _ => LossInTrainingMode(model), Options).Run(new Numbers(2), _ => new(0, 0, "Accuracy", true));

        Assert.AreEqual(training, model.training);
        Assert.IsNull(model.Value.grad);
    }

    [TestMethod]
    public void OptionsOutOfRangeAreNamed()
    {
        (TrainingOptions Options, string Message)[] cases =
        [
            (Options with { Epochs = 0 }, "Epochs is 0"),
            (Options with { MaxSteps = 0 }, "MaxSteps is 0"),
            (Options with { LearningRate = -1 }, "LearningRate is -1"),
            (Options with { LearningRate = double.NaN }, "LearningRate is NaN"),
            (Options with { FinalLearningRate = -1 }, "FinalLearningRate is -1"),
            (Options with { WarmupSteps = -1 }, "WarmupSteps is -1"),
            (Options with { WarmupFraction = 2 }, "WarmupFraction is 2"),
            (Options with { WeightDecay = -1 }, "WeightDecay is -1"),
            (Options with { Beta1 = 1 }, "Beta1 is 1"),
            (Options with { Beta2 = -1 }, "Beta2 is -1"),
            (Options with { Epsilon = -1 }, "Epsilon is -1"),
            (Options with { GradientClipNorm = 0 }, "GradientClipNorm is 0"),
            (Options with { EarlyStopping = new() { Patience = 0 } }, "Patience is 0"),
            (Options with { EarlyStopping = new() { MinDelta = -1 } }, "MinDelta is -1"),
            (Options with { ProgressInterval = 0 }, "ProgressInterval is 0"),
        ];
        using var model = new Scalar();

        foreach (var (options, message) in cases)
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new TrainingLoop<int>(model, _ => LossInTrainingMode(model), options)).Message, message);
    }

    private static StepLoss SquaredError(nn.Module<Tensor, Tensor> model, Batch batch)
    {
        Assert.IsTrue(model.training);
        return new((model.call(batch.X) - batch.Y).square().mean(), zeros([]), (int)batch.X.shape[0]);
    }

    private static StepLoss LossInTrainingMode(Scalar model)
    {
        Assert.IsTrue(model.training);
        return new(model.Value.square(), zeros([]), 1);
    }

    private static void AssertWeights(Linear model, float[] weights, float bias, double tolerance)
    {
        var found = model.weight.data<float>().ToArray();
        for (int i = 0; i < weights.Length; i++)
            Assert.AreEqual(weights[i], found[i], tolerance);
        Assert.AreEqual(bias, model.bias!.item<float>(), tolerance);
    }

    private sealed record Batch(Tensor X, Tensor Y) : IDisposable
    {
        public void Dispose()
        {
            X.Dispose();
            Y.Dispose();
        }
    }

    /// <summary>y = 2 x0 - x1 + x2 / 2 + 3, other numbers every epoch.</summary>
    private sealed class Regression(int batches) : IBatchSource<Batch>
    {
        public int? BatchesPerEpoch => batches;

        public IEnumerable<Batch> ReadEpoch(int epoch, CancellationToken cancellationToken)
        {
            using var generator = new Generator((ulong)epoch);
            for (int i = 0; i < batches; i++)
            {
                using var scope = NewDisposeScope();
                var x = randn([16, 3], generator: generator);
                yield return new(x.DetachFromDisposeScope(), (x.mv(tensor([2f, -1f, 0.5f])) + 3).unsqueeze(1).DetachFromDisposeScope());
            }
        }
    }

    private sealed class Numbers(int count) : IBatchSource<int>
    {
        public int? BatchesPerEpoch { get; init; } = count;

        public IEnumerable<int> ReadEpoch(int epoch, CancellationToken cancellationToken) => Enumerable.Range(0, count);
    }

    /// <summary>One number, 1 at the start.</summary>
    private sealed class Scalar : nn.Module<Tensor, Tensor>
    {
        public Scalar() : base(nameof(Scalar))
        {
            RegisterComponents();
        }

        public Parameter Value { get; } = new(ones([]));

        public override Tensor forward(Tensor x) => Value * x;
    }
}

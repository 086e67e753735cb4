using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>What a training does to the weights, and what it reports.</summary>
[TestClass]
public sealed class TrainingLoopTests
{
    private static readonly TrainingOptions Options = new() { Epochs = 3, LearningRate = 0.05, WeightDecay = 0 };

    [TestMethod]
    public void ALinearModelFindsTheWeightsThatMadeItsData()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(3, 1);
        var loop = new TrainingLoop<RegressionBatch>(
            model, batch => batch.SquaredError(model), Options.With(o => (o.Epochs, o.LearningRate, o.FinalLearningRate) = (40, 0.1, 0)));

        var result = loop.Run(new RegressionBatches(batches: 20));

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
        var loop = new TrainingLoop<RegressionBatch>(
            model,
            batch =>
                batch.SquaredError(model) with
                {
                    ExpertCounts_E = [ones([3], int64), ones([2], int64)],
                    DroppedCounts_B = ones([2], int64),
                },
            Options.With(o => (o.Epochs, o.ProgressInterval) = (11, 50)));
        long before = LiveTensors.Count();

        loop.Run(new RegressionBatches(batches: 100), progress: report => counts.Add(Tensor.TotalCount));

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
            new TrainingLoop<RegressionBatch>(model, batch => batch.SquaredError(model), Options).Run(
                new PrefetchingBatchSource<RegressionBatch>(new RegressionBatches(batches: 10)));
            return model.parameters().SelectMany(parameter => parameter.data<float>().ToArray()).ToArray();
        }
    }

    [TestMethod]
    public void AnUpdateFollowsTheScheduleAndClipsTheGradients()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        var options = new TrainingOptions
        {
            Epochs = 1,
            LearningRate = 0.5,
            FinalLearningRate = 0.1,
            WarmupSteps = 2,
            WeightDecay = 0,
            GradientClipNorm = 1,
            ProgressInterval = 1,
        };
        var reports = new List<TrainingProgress>();

        // The gradient is 8 at every step, so that AdamW moves by the learning rate; clipped or not shows in the reported norm alone.
        new TrainingLoop<int>(model, _ => new(model.Value * 8, zeros([]), 1), options).Run(new NumberedBatches(4), progress: reports.Add);

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
        using var model = new ScalarModule();
        var options = Options.With(o => (o.Epochs, o.LearningRate, o.FinalLearningRate) = (1, 0.1, 0));

        new TrainingLoop<int>(model, _ => new((model.Value - 2).square(), (model.Value + 1).square(), 1), options).Run(
            new NumberedBatches(300));

        Assert.AreEqual(0.5, model.Value.item<float>(), 1e-3);   // where 2(w - 2) + 2(w + 1) = 0
    }

    [TestMethod]
    public void ProgressReportsMeansOverTheStepsSinceTheLastReportAndOverTheEpoch()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        var reports = new List<TrainingProgress>();
        StepLoss Loss(int n) =>
            new(
                (model.Value * 0) + n,
                (model.Value * 0) + (10 * n),
                Samples: n + 1,
                [tensor(new long[] { 1, 3, 0 }), tensor(new long[] { n, n, n })],
                tensor(new long[] { 1, n }));

        var result = new TrainingLoop<int>(model, Loss, Options.With(o => (o.Epochs, o.ProgressInterval) = (2, 2))).Run(
            new NumberedBatches(3), progress: reports.Add);

        // Losses 0, 1, 2 weigh 1, 2, 3 samples. The step counter runs on through the epochs: reports come after steps 2, 3 (end), 4, 6, 6
        // (end).
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
    [DataRow(true)]
    [DataRow(false)]
    public void TheModuleGetsItsModeBackAndKeepsNoGradients(bool training)
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        model.train(training);

        new TrainingLoop<int>(model, _ => model.SquaredValue(), Options).Run(new NumberedBatches(2), _ => new(0, 0, "Accuracy", true));

        Assert.AreEqual(training, model.training);
        Assert.IsNull(model.Value.grad);
    }

    [TestMethod]
    [DataRow("average", "'average', as the moving average of the weights is")]
    [DataRow("one", "'one', as another one is")]
    [DataRow("one/two", "'one/two'; a name must have at least one character, and none must be a slash")]
    [DataRow("", "''; a name must")]
    public void CompanionsThatCheckpointsCouldNotTellApartAreNamed(string name, string message)
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        var loop = new TrainingLoop<int>(model, _ => model.SquaredValue(), Options)
        {
            Companions = [new RecordingCompanion(model, "one"), new RecordingCompanion(model, name)],
        };
        StringAssert.Contains(Assert.ThrowsExactly<InvalidOperationException>(() => loop.Run(new NumberedBatches(2))).Message, message);
    }

    private static void AssertWeights(Linear model, float[] weights, float bias, double tolerance)
    {
        var found = model.weight.data<float>().ToArray();
        for (int i = 0; i < weights.Length; i++)
            Assert.AreEqual(weights[i], found[i], tolerance);
        Assert.AreEqual(bias, model.bias!.item<float>(), tolerance);
    }
}

using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>What comes out of a training that is cancelled.</summary>
[TestClass]
public sealed class CancellationTests
{
    private static readonly TrainingOptions Options = new()
    {
        Epochs = 4,
        LearningRate = 0.05,
        WeightDecay = 0,
        OnCancellation = CancellationBehavior.ReturnBest,
    };

    [TestMethod]
    public void TheBestValidatedWeightsComeBack()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        using var cancellation = new CancellationTokenSource();
        double[] quality = [0.9, 0.5];
        var values = new List<float>();
        int batches = 0;

        var result = new TrainingLoop<int>(model, Loss, Options).Run(
            new NumberedBatches(5),
            _ =>
            {
                values.Add(model.Value.item<float>());
                return new(quality[values.Count - 1], 0, "Accuracy", true);
            },
            cancellationToken: cancellation.Token);

        Assert.AreEqual(StopReason.Cancelled, result.StopReason);
        Assert.AreEqual(12, result.Steps, "the batch in which it was cancelled is the last");
        Assert.AreEqual(12, batches);
        Assert.AreEqual(2, result.Epochs.Count, "epochs that were done");
        Assert.AreEqual(1, result.BestEpoch!.Epoch);
        Assert.IsTrue(result.BestWeightsRestored);
        Assert.AreEqual(values[0], model.Value.item<float>());

        StepLoss Loss(int number)
        {
            if (++batches == 12)
                cancellation.Cancel();
            return model.SquaredValue();
        }
    }

    [TestMethod]
    [DataRow(null)]
    [DataRow(0.5)]
    public void WithoutValidationTheLastWeightsComeBackOrTheirAverage(double? decay)
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        using var cancellation = new CancellationTokenSource();
        var recorder = new RecordingCompanion(model);
        var loop = new TrainingLoop<int>(
            model,
            number =>
            {
                if (number == 3)
                    cancellation.Cancel();
                return model.SquaredValue();
            },
            Options.With(o => o.EmaDecay = decay))
        { Companions = [recorder] };

        var result = loop.Run(new NumberedBatches(20), cancellationToken: cancellation.Token);

        Assert.AreEqual(StopReason.Cancelled, result.StopReason);
        Assert.AreEqual(0, result.Epochs.Count);
        Assert.AreEqual(4, recorder.Calls.Count);
        double average = 1;
        for (int i = 0; i < 4; i++)
            average += (1 - Math.Min(decay ?? 0, (2.0 + i) / (11.0 + i))) * (recorder.Calls[i].Value - average);
        Assert.AreEqual(average, model.Value.item<float>(), 1e-6);
    }

    [TestMethod]
    public void BeforeTheFirstUpdateThereIsNothingToReturn()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        using var cancellation = new CancellationTokenSource();
        cancellation.Cancel();

        Assert.Throws<OperationCanceledException>(() =>
            new TrainingLoop<int>(model, _ => model.SquaredValue(), Options).Run(
                new NumberedBatches(5), cancellationToken: cancellation.Token));
    }

    [TestMethod]
    public void ACancellationThatIsNotThisTrainingsIsAnError()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();

        var loop = new TrainingLoop<int>(
            model, number => number < 3 ? model.SquaredValue() : throw new OperationCanceledException("from elsewhere"), Options);

        Assert.AreEqual("from elsewhere", Assert.Throws<OperationCanceledException>(() => loop.Run(new NumberedBatches(5))).Message);
    }
}

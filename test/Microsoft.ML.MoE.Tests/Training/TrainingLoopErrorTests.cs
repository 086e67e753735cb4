using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>What stops a training, or keeps it from starting, with an error.</summary>
[TestClass]
public sealed class TrainingLoopErrorTests
{
    private static readonly TrainingOptions Options = new() { Epochs = 3, LearningRate = 0.05, WeightDecay = 0 };

    [TestMethod]
    [DataRow(float.NaN, 0f, "The loss became NaN")]
    [DataRow(float.PositiveInfinity, 0f, "The loss became infinite")]
    [DataRow(0f, float.NaN, "The auxiliary loss became NaN")]
    public void ALossThatIsNotFiniteStopsTrainingAndSparesTheWeights(float main, float auxiliary, string message)
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        int step = 0;
        float value = 0;
        StepLoss Loss(int _)
        {
            value = model.Value.item<float>();
            return ++step < 3 ? model.SquaredValue() : new(model.Value * main, model.Value * auxiliary, 1);
        }

        var exception = Assert.ThrowsExactly<TrainingDivergedException>(() =>
            new TrainingLoop<int>(model, Loss, Options.With(o => o.GradientClipNorm = null)).Run(new NumberedBatches(10)));

        StringAssert.StartsWith(exception.Message, $"{message} at step 3, where the learning rate was 0.0");
        // Estimators have the fraction only.
        StringAssert.Contains(exception.Message, "lower LearningRate, a longer warm-up (WarmupFraction or WarmupSteps), ");
        Assert.AreEqual(3, exception.Step);
        Assert.AreEqual(3, step);
        Assert.AreEqual(value, model.Value.item<float>());
        Assert.IsTrue(exception.LearningRate > 0);
    }

    [TestMethod]
    public void AGradientThatIsNotFiniteStopsTrainingAndSparesTheWeights()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();

        var exception = Assert.ThrowsExactly<TrainingDivergedException>(() =>
            new TrainingLoop<int>(model, _ => new(((model.Value * 0) + 0).sqrt(), zeros([]), 1), Options).Run(new NumberedBatches(10))
        );   // finite, but its slope is 0 · ∞

        StringAssert.StartsWith(exception.Message, "The norm of the gradients became NaN at step 1");
        Assert.AreEqual(1, model.Value.item<float>());
    }

    [TestMethod]
    public void DataWithoutRowsAndUnknownLengthAreNamed()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        var loop = new TrainingLoop<int>(model, _ => model.SquaredValue(), Options);

        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => loop.Run(new NumberedBatches(0))).Message,
            "training data has no rows");
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => loop.Run(new NumberedBatches(5) { BatchesPerEpoch = null })).Message,
            "MaxSteps");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() =>
                    new TrainingLoop<int>(model, _ => model.SquaredValue(), Options.With(o => o.EarlyStopping = new())).Run(
                        new NumberedBatches(5)))
                .Message,
            "EarlyStopping");
    }

    [TestMethod]
    public void AModuleWithoutTrainableParametersIsRefused()
    {
        using var model = nn.ReLU();

        Assert.ThrowsExactly<ArgumentException>(() => new TrainingLoop<int>(model, _ => new(zeros([]), zeros([]), 1), Options));
    }

    [TestMethod]
    public void OptionsOutOfRangeAreNamed()
    {
        (TrainingOptions Options, string Message)[] cases =
        [
            (Options.With(o => o.Epochs = 0), "Epochs is 0"),
            (Options.With(o => o.MaxSteps = 0), "MaxSteps is 0"),
            (Options.With(o => o.LearningRate = -1), "LearningRate is -1"),
            (Options.With(o => o.LearningRate = double.NaN), "LearningRate is NaN"),
            (Options.With(o => o.FinalLearningRate = -1), "FinalLearningRate is -1"),
            (Options.With(o => o.WarmupSteps = -1), "WarmupSteps is -1"),
            (Options.With(o => o.WarmupFraction = 2), "WarmupFraction is 2"),
            (Options.With(o => o.WeightDecay = -1), "WeightDecay is -1"),
            (Options.With(o => o.Beta1 = 1), "Beta1 is 1"),
            (Options.With(o => o.Beta2 = -1), "Beta2 is -1"),
            (Options.With(o => o.Epsilon = -1), "Epsilon is -1"),
            (Options.With(o => o.GradientClipNorm = 0), "GradientClipNorm is 0"),
            (Options.With(o => o.EarlyStopping = new() { Patience = 0 }), "Patience is 0"),
            (Options.With(o => o.EarlyStopping = new() { MinDelta = -1 }), "MinDelta is -1"),
            (Options.With(o => o.ProgressInterval = 0), "ProgressInterval is 0"),
        ];
        using var model = new ScalarModule();

        foreach (var (options, message) in cases)
            StringAssert.Contains(
                Assert.ThrowsExactly<ArgumentException>(() => new TrainingLoop<int>(model, _ => model.SquaredValue(), options)).Message,
                message);
    }
}

using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>The moving average of the weights.</summary>
[TestClass]
public sealed class WeightAverageTests
{
    private static readonly TrainingOptions Options = new() { Epochs = 3, LearningRate = 0.05, WeightDecay = 0 };

    [TestMethod]
    public void AnUpdateMovesTheAverageByTheEquation()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        using var average = new WeightAverage(model, model.parameters(), 0.5);

        // Decays min(0.5, (1 + t) / (10 + t)): 2/11, 3/12, then 0.5 from t = 8 on.
        using (no_grad())
            model.Value.fill_(12);
        average.AfterUpdate(1, 100);
        Assert.AreEqual((2.0 / 11) + (9.0 / 11 * 12), average.State.Values.Single().item<float>(), 1e-5);
        using (no_grad())
            model.Value.fill_(0);
        average.AfterUpdate(2, 100);
        Assert.AreEqual(((2.0 / 11) + (9.0 / 11 * 12)) / 4, average.State.Values.Single().item<float>(), 1e-5);
        average.AfterUpdate(50, 100);
        Assert.AreEqual(((2.0 / 11) + (9.0 / 11 * 12)) / 8, average.State.Values.Single().item<float>(), 1e-5);

        average.Swap();
        Assert.AreEqual(((2.0 / 11) + (9.0 / 11 * 12)) / 8, model.Value.item<float>(), 1e-5);
        Assert.AreEqual(0, average.State.Values.Single().item<float>());
    }

    [TestMethod]
    [DataRow(false)]
    [DataRow(true)]
    public void ValidationAndTheResultAreTheAverageAndTrainingGoesOnFromTheWeights(bool validated)
    {
        using var scope = NewDisposeScope();
        var (plainWeights, _, _, _) = Train(decay: null, validated);
        var (weights, seen, result, restored) = Train(decay: 0.8, validated);

        CollectionAssert.AreEqual(plainWeights, weights, "the average does not change how the weights are trained");
        double average = 1;   // the weight at the start
        var averages = weights.Select((weight, i) => average += (1 - Math.Min(0.8, (2.0 + i) / (11.0 + i))) * (weight - average)).ToArray();
        if (validated)
        {
            for (int epoch = 0; epoch < 3; epoch++)
                Assert.AreEqual(averages[(5 * epoch) + 4], seen[epoch], 1e-6, $"epoch {epoch}");
            Assert.IsTrue(restored);
            Assert.AreEqual(averages[9], result, 1e-6, "the second epoch is the best");
        }
        else
        {
            Assert.AreEqual(averages[14], result, 1e-6);
        }

        static (float[] Weights, List<float> Seen, float Result, bool Restored) Train(double? decay, bool validated)
        {
            using var model = new ScalarModule();
            var (recorder, seen) = (new RecordingCompanion(model), new List<float>());
            double[] quality = [0.1, 0.9, 0.5];
            ValidationResult Validate(CancellationToken _)
            {
                seen.Add(model.Value.item<float>());
                return new(quality[seen.Count - 1], 0, "Accuracy", true);
            }
            var loop = new TrainingLoop<int>(model, _ => model.SquaredValue(), Options.With(o => o.EmaDecay = decay))
            {
                Companions = [recorder],
            };
            var result = loop.Run(new NumberedBatches(5), validated ? Validate : null);
            return ([.. recorder.Calls.Select(call => call.Value)], seen, model.Value.item<float>(), result.BestWeightsRestored);
        }
    }

    [TestMethod]
    public void BuffersAreAveragedIntegersAndFrozenParametersAreNot()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(("norm", nn.BatchNorm1d(2)), ("linear", nn.Linear(2, 1)), ("frozen", nn.Linear(1, 1)));
        foreach (var (name, parameter) in model.named_parameters())
            parameter.requires_grad = !name.StartsWith("frozen", StringComparison.Ordinal);
        using var average = new WeightAverage(model, model.parameters().Where(parameter => parameter.requires_grad), 0.9);

        CollectionAssert.AreEquivalent(
            new[] { "norm.weight", "norm.bias", "linear.weight", "linear.bias", "norm.running_mean", "norm.running_var" },
            average.State.Keys.ToArray());
        model.train();
        _ = model.call(tensor(new[,] { { 1f, 2f }, { 3f, 4f } }));
        average.AfterUpdate(1, 10);
        // Means 2 and 3, momentum 0.1.
        TensorAssert.AreClose(tensor([9 / 11f * 0.2f, 9 / 11f * 0.3f]), average.State["norm.running_mean"], 1e-6);
    }

    [TestMethod]
    public void TrainingWithAnAverageLeavesNoTensorBehindAlsoWhereValidationThrows()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1));
        var loop = new TrainingLoop<RegressionBatch>(model, batch => batch.SquaredError(model), Options.With(o => o.EmaDecay = 0.99));
        long before = LiveTensors.Count();

        loop.Run(new RegressionBatches(batches: 20));
        Assert.AreEqual(before, Tensor.TotalCount);

        Assert.ThrowsExactly<InvalidOperationException>(() =>
            loop.Run(new RegressionBatches(batches: 2), _ => throw new InvalidOperationException("from validation")));
        Assert.AreEqual(before, Tensor.TotalCount);
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => (Options.With(o => o.EmaDecay = 1)).Validate()).Message, "EmaDecay is 1");
    }
}

using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Training;

/// <summary>
/// Several optimizers in one training: modules that train a part of their parameters themselves, and learning rates by parameter.
/// </summary>
[TestClass]
public sealed class CompositeOptimizerTests
{
    private static readonly TrainingOptions Options = new()
    {
        Epochs = 1,
        LearningRate = 0.1,
        FinalLearningRate = 0.1,
        WarmupSteps = 0,
        WeightDecay = 0,
        GradientClipNorm = null,
    };

    [TestMethod]
    [DataRow(null, 1, DisplayName = "without clipping")]
    [DataRow(0.01, 1, DisplayName = "clipped")]
    [DataRow(0.01, 2, DisplayName = "clipped, two batches an update")]
    public void ATableWithRowGradientsIsTrainedWithTheRest(double? clipNorm, int accumulation)
    {
        using var scope = NewDisposeScope();
        using var model = new TableModule(rows: 6, width: 3);
        var (table, weight) = (model.Table.clone().requires_grad_(), model.Weight.clone().detach().requires_grad_());
        var norms = new List<double>();
        var loop = new TrainingLoop<int>(
            nn.Sequential(("table", model)),
            i => new(Loss(i, model.call(Rows(i))), zeros([]), Samples: i + 1),
            Options.With(o => (o.GradientClipNorm, o.GradientAccumulation, o.ProgressInterval) = (clipNorm, accumulation, 1)));

        loop.Run(new NumberedBatches(4), progress: report => norms.Add(report.Averages.GradientNorm ?? 0));

        // By hand: dense gradients, their norm together, AdamW for the weight and plain descent at rate 0.5 for the table.
        Tensor m = zeros(3), v = zeros(3);
        var expectedNorms = new List<double>();
        for (int step = 0; step < 4 / accumulation; step++)
        {
            var samples = Enumerable.Range(step * accumulation, accumulation).Sum(i => i + 1);
            var loss =
                Enumerable
                    .Range(step * accumulation, accumulation)
                    .Select(i => Loss(i, table[Rows(i)].mv(weight)) * (i + 1))
                    .Aggregate((sum, next) => sum + next) / samples;
            table.grad = weight.grad = null;
            loss.backward();
            using var _ = no_grad();
            var norm = (table.grad!.square().sum() + weight.grad!.square().sum()).sqrt();
            expectedNorms.Add(norm.item<float>());
            var divisor = clipNorm is { } limit ? ((norm + 1e-6) / limit).clamp_min(1) : ones([]);
            table.sub_(table.grad / divisor * 0.5);
            var gradient = weight.grad / divisor;
            m = (0.9 * m) + (0.1 * gradient);
            v = (0.999 * v) + (0.001 * gradient.square());
            weight.sub_(0.1 * (m / (1 - Math.Pow(0.9, step + 1))) / ((v / (1 - Math.Pow(0.999, step + 1))).sqrt() + 1e-8));
        }

        TensorAssert.AreClose(table, model.Table, 1e-5);
        TensorAssert.AreClose(weight, model.Weight, 1e-5);
        if (clipNorm is not null)
        {
            for (int step = 0; step < expectedNorms.Count; step++)
                Assert.AreEqual(expectedNorms[step], norms[step], 1e-4);
        }

        static Tensor Rows(int i) => tensor(new long[] { i, 5, 5, (i + 2) % 6 });   // one row twice: its gradients add up
        static Tensor Loss(int i, Tensor y_N) => (y_N - i).square().mean();
    }

    [TestMethod]
    public void StatesAreNamedAfterTheirPartAndRestorable()
    {
        using var scope = NewDisposeScope();
        Parameter one = new(ones(2)), two = new(ones(3));
        using var composite = Composite(one, two);
        one.grad = tensor([1f, -2f]);
        two.grad = tensor([1f, 2f, 2f]);

        composite.Step(0.1);

        CollectionAssert.AreEquivalent(
            new[] { "a/w.first_moment", "a/w.second_moment", "a/w.step", "b/w.first_moment", "b/w.second_moment", "b/w.step" },
            composite.State.Keys.ToArray());
        Assert.AreEqual(Math.Sqrt(14), composite.GradientNorm().item<float>(), 1e-6);
        Parameter three = new(ones(2)), four = new(ones(3));
        using var other = Composite(three, four);
        other.Restore(composite.State);
        foreach (var (name, value) in composite.State)
            TensorAssert.AreClose(value, other.State[name], 0);

        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidDataException>(() =>
                    other.Restore(composite.State.Where(pair => pair.Key != "b/w.step").ToDictionary()))
                .Message,
            "'w.step' is not in the saved state");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidDataException>(() => other.Restore(new Dictionary<string, Tensor> { ["c/w.step"] = ones([]) }))
                .Message,
            "'c/w.step'");

        static CompositeOptimizer Composite(Parameter first, Parameter second) =>
            new(
                new Dictionary<string, IOptimizer>
                {
                    ["a"] = new FusedAdamW([new([new("w", first)], 0)]),
                    ["b"] = new FusedAdamW([new([new("w", second)], 0)]),
                }
            );
    }

    [TestMethod]
    public void AParameterOfTwoPartsIsRefused()
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(ones(2));
        using FusedAdamW first = new([new([new("w", parameter)], 0)]),
            second = new([new([new("w", parameter)], 0)]);

        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() =>
                    new CompositeOptimizer(new Dictionary<string, IOptimizer> { ["a"] = first, ["b"] = second }))
                .Message,
            "belongs to optimizer 'a' and to 'b'");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() => new CompositeOptimizer(new Dictionary<string, IOptimizer> { ["a/b"] = first }))
                .Message,
            "'a/b'");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new CompositeOptimizer(new Dictionary<string, IOptimizer>())).Message,
            "at least one");
    }

    [TestMethod]
    public void TheLearningRateIsScaledByParameter()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(2, 1);
        var start = (Weight: model.weight.clone(), Bias: model.bias!.clone());
        var loop = new TrainingLoop<int>(model, _ => new(model.call(ones(1, 2)).sum() * 100, zeros([]), 1), Options)
        {
            LearningRateScale = name => name == "bias" ? 0.25 : 0,
        };

        loop.Run(new NumberedBatches(3));

        TensorAssert.AreClose(start.Weight, model.weight, 0);
        // Adam moves by the rate where the gradient is always the same.
        TensorAssert.AreClose(start.Bias - (3 * 0.1 * 0.25), model.bias, 1e-6);
    }

    [TestMethod]
    public void TheLearningRateIsScaledByTheModulesThatWantIt()
    {
        using var scope = NewDisposeScope();
        using ScaledModule inner = new(0.25),
            outer = new(0.5, inner),
            other = new(3),
            model = new(1, outer, other, inner);   // the inner one is there twice
        var loop = new TrainingLoop<int>(
            model, _ => new((outer.Value + inner.Value + other.Value + model.Value) * 100, zeros([]), 1), Options)
        {
            LearningRateScale = name => name == "part1.value" ? 2 : 1,
        };

        loop.Run(new NumberedBatches(2));

        Assert.AreEqual(1 - (2 * 0.1), model.Value.item<float>(), 1e-6);   // Adam moves by the rate where the gradient is always the same
        Assert.AreEqual(1 - (2 * 0.1 * 0.5), outer.Value.item<float>(), 1e-6);
        Assert.AreEqual(1 - (2 * 0.1 * 0.5 * 0.25), inner.Value.item<float>(), 1e-6);
        Assert.AreEqual(1 - (2 * 0.1 * 3 * 2), other.Value.item<float>(), 1e-6);
    }

    [TestMethod]
    public void AModulesLearningRateLeavesOptimizersOfTheirOwnAlone()
    {
        using var scope = NewDisposeScope();
        using var table = new TableModule(rows: 3, width: 2);
        using var model = new ScaledModule(0, table);
        var (rows, weight) = (table.Table.clone(), table.Weight.detach().clone());

        new TrainingLoop<int>(model, _ => new(table.call(tensor(new long[] { 1 })).sum() + model.Value, zeros([]), 1), Options).Run(
            new NumberedBatches(1));

        TensorAssert.AreClose(weight, table.Weight, 0);
        // The table's own rate is 0.5, and the gradient of a row is the weight.
        TensorAssert.AreClose(rows[1] - (0.5 * weight), table.Table[1], 1e-6);
        TensorAssert.AreClose(rows[2], table.Table[2], 0);
    }

    [TestMethod]
    public void ACompanionActsAfterEveryUpdateAndKnowsHowFarTrainingIs()
    {
        using var scope = NewDisposeScope();
        using var model = new ScalarModule();
        var companion = new RecordingCompanion(model);

        new TrainingLoop<int>(model, _ => model.SquaredValue(), Options.With(o => (o.Epochs, o.GradientAccumulation) = (2, 2)))
        {
            Companions = [companion],
        }.Run(new NumberedBatches(3));

        CollectionAssert.AreEqual(
            new[] { (1, 4), (2, 4), (3, 4), (4, 4) }, companion.Calls.Select(call => (call.Update, call.Total)).ToArray());
        for (int i = 1; i < 4; i++)
            Assert.IsTrue(companion.Calls[i].Value < companion.Calls[i - 1].Value);
        Assert.AreEqual(model.Value.item<float>(), companion.Calls[^1].Value);
    }
}

using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Optimizers;

[TestClass]
public sealed class LambTests
{
    private const double Decay = 0.1, Beta1 = 0.9, Beta2 = 0.95, Epsilon = 1e-6;

    [TestMethod]
    public void EqualsTheEquationsOverSeveralSteps()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        long[][] shapes = [[5, 7], [2, 4, 3], [33, 65], [3], [1]];
        var start = shapes.Select(shape => randn(shape, generator: generator)).ToArray();
        start[1].zero_();   // no weight has a norm: the ratio is 1
        var ours = start.Select(value => new Parameter(value.clone())).ToArray();
        var reference = start.Select((value, i) => new Reference(value, i < 3 ? Decay : 0, trustRatio: i < 3)).ToArray();
        using var optimizer = new Lamb(
            [
                new(ours[..3].Select((parameter, i) => KeyValuePair.Create($"p{i}", parameter)).ToArray(), Decay)
                {
                    LearningRateScale = 0.5,
                },
                new(ours[3..].Select((parameter, i) => KeyValuePair.Create($"p{i + 3}", parameter)).ToArray(), 0) { TrustRatio = false },
            ],
            Beta1, Beta2, Epsilon);

        for (int step = 0; step < 6; step++)
        {
            double rate = 0.1 / (step + 1);
            for (int i = 0; i < ours.Length; i++)
            {
                if (i == 2 && step == 1)
                {
                    ours[i].grad = null;   // left alone, with a step count of its own
                    continue;
                }
                var gradient = randn(shapes[i], generator: generator) * Math.Pow(10, i - 2);
                reference[i].Step(gradient / 4, rate * (i < 3 ? 0.5 : 1));
                ours[i].grad = gradient;
            }
            optimizer.Step(rate, gradientDivisor: tensor(4f));

            for (int i = 0; i < ours.Length; i++)
                TensorAssert.AreClose(reference[i].Weight, ours[i], 2e-6, $"parameter {i}, step {step}");
        }
        Assert.AreEqual(6, optimizer.State["p0.step"].item<float>());
        Assert.AreEqual(5, optimizer.State["p2.step"].item<float>());
    }

    [TestMethod]
    public void TheFirstStepOfAMatrixMovesItByTheLearningRateTimesItsNorm()
    {
        using var scope = NewDisposeScope();
        var matrix = new Parameter(tensor(new[,] { { 3f, 0f }, { 0f, 4f } }));   // norm 5
        using var optimizer = new Lamb([new([new("w", matrix)], 0)], epsilon: 0);
        matrix.grad = tensor(new[,] { { 0.1f, -20f }, { 3f, 0.5f } });

        optimizer.Step(0.01);

        // Adam's first update has only ones, with the gradient's signs: norm 2. So each weight moves by 0.01 · 5 / 2.
        TensorAssert.AreClose(tensor(new[,] { { 3 - 0.025f, 0.025f }, { -0.025f, 4 - 0.025f } }), matrix, 1e-6);
    }

    [TestMethod]
    [DataRow(0, DisplayName = "in the first step")]
    [DataRow(3, DisplayName = "later")]
    public void ASkippedStepLeavesEverythingEvenWhereGradientsAreNotNumbers(int before)
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(tensor([1f, -2f, 3f]));
        using var optimizer = new Lamb([new([new("w", parameter)], Decay)]);
        for (int step = 0; step < before; step++)
        {
            parameter.grad = tensor([0.5f, 1f, -1f]) * (step + 1);
            optimizer.Step(0.1);
        }
        var (weight, state) = (parameter.clone(), optimizer.State.ToDictionary(pair => pair.Key, pair => pair.Value.clone()));

        parameter.grad = tensor([float.NaN, float.PositiveInfinity, 1f]);
        optimizer.Step(0.1, tensor(float.NaN), skip: tensor(1f));

        TensorAssert.AreClose(weight, parameter, 0);
        foreach (var (name, value) in state)
            TensorAssert.AreClose(value, optimizer.State[name], 0, name);
    }

    [TestMethod]
    public void StateIsRestorableAndStepsLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        Parameter first = new(ones(2, 3)), second = new(ones(2, 3));
        using var running = new Lamb([new([new("w", first)], Decay)]);
        using var resumed = new Lamb([new([new("w", second)], Decay)]);
        first.grad = tensor(new[,] { { 1f, -2f, 3f }, { 0.5f, 0f, 1f } });
        running.Step(0.1);
        using (no_grad())
            second.copy_(first);

        resumed.Restore(running.State);
        second.grad = first.grad.clone();
        long before = LiveTensors.Count();
        for (int step = 0; step < 5; step++)
        {
            running.Step(0.1);
            resumed.Step(0.1);
        }

        Assert.AreEqual(before, Tensor.TotalCount);
        TensorAssert.AreClose(first, second, 0);
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new Lamb([], beta1: 1)).Message, "beta1 is 1");
    }

    [TestMethod]
    public void MatricesHaveATrustRatioAndVectorsBiasesAndPositionsDoNot()
    {
        using var scope = NewDisposeScope();
        using var model = nn.Linear(2, 3);

        var groups = ParameterGroup.ForModule(model, 0);   // without decay too

        CollectionAssert.AreEqual(
            new[] { ("weight", true), ("bias", false) },
            groups.Select(group => (group.Parameters.Single().Key, group.TrustRatio)).ToArray());
    }

    /// <summary>The equations of LAMB in double precision.</summary>
    private sealed class Reference(Tensor start, double decay, bool trustRatio)
    {
        private Tensor m = zeros_like(start).to(float64);
        private Tensor v = zeros_like(start).to(float64);
        private int t;

        public Tensor Weight { get; private set; } = start.to(float64);

        public void Step(Tensor gradient, double rate)
        {
            var g = gradient.to(float64);
            t++;
            m = (Beta1 * m) + ((1 - Beta1) * g);
            v = (Beta2 * v) + ((1 - Beta2) * g * g);
            var u = (m / (1 - Math.Pow(Beta1, t)) / ((v / (1 - Math.Pow(Beta2, t))).sqrt() + Epsilon)) + (decay * Weight);
            double wNorm = Weight.norm().item<double>(), uNorm = u.norm().item<double>();
            Weight -= rate * (trustRatio && wNorm > 0 && uNorm > 0 ? wNorm / uNorm : 1) * u;
        }
    }
}

using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Optimizers;

[TestClass]
public sealed class FusedAdamWTests
{
    private const double Decay = 0.1, Beta1 = 0.9, Beta2 = 0.95, Epsilon = 1e-8;

    [TestMethod]
    public void EqualsTheEquationsAndTorchSharpOverSeveralSteps()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        long[][] shapes = [[5, 7], [3], [2, 4, 3], [1], [33, 65]];
        var start = shapes.Select(shape => randn(shape, generator: generator)).ToArray();
        var ours = start.Select(value => new Parameter(value.clone())).ToArray();
        var theirs = start.Select(value => new Parameter(value.clone())).ToArray();
        var reference = start.Select(value => new ReferenceAdamW(value)).ToArray();

        using var optimizer = new FusedAdamW(
            [new(ours[..3].Select(Named).ToArray(), Decay), new(ours[3..].Select((p, i) => Named(p, i + 3)).ToArray(), 0)],
            Beta1,
            Beta2,
            Epsilon);
        using var torchSharp = optim.AdamW([
            new AdamW.ParamGroup(
                theirs[..3],
                new AdamW.Options
                {
                    LearningRate = 0.1,
                    InitialLearningRate = 0.1,
                    beta1 = Beta1,
                    beta2 = Beta2,
                    eps = Epsilon,
                    weight_decay = Decay,
                }
            ),
            new AdamW.ParamGroup(
                theirs[3..],
                new AdamW.Options
                {
                    LearningRate = 0.1,
                    InitialLearningRate = 0.1,
                    beta1 = Beta1,
                    beta2 = Beta2,
                    eps = Epsilon,
                    weight_decay = 0,
                }
            ),
        ]);

        for (int step = 0; step < 6; step++)
        {
            double rate = 0.1 / (step + 1);
            foreach (var group in torchSharp.ParamGroups)
                group.LearningRate = rate;
            for (int i = 0; i < ours.Length; i++)
            {
                var gradient = randn(shapes[i], generator: generator) * Math.Pow(10, i - 2);
                ours[i].grad = gradient;
                theirs[i].grad = gradient.clone();
                reference[i].Step(gradient, rate, i < 3 ? Decay : 0);
            }
            optimizer.Step(rate);
            torchSharp.step();

            for (int i = 0; i < ours.Length; i++)
            {
                AssertClose(reference[i].Weight, ours[i], 2e-6);
                AssertClose(theirs[i], ours[i], 2e-6);
            }
        }
    }

    [TestMethod]
    public void ParametersWithoutGradientKeepTheirValueAndTheirOwnStepCount()
    {
        using var scope = NewDisposeScope();
        Parameter always = new(ones(2)), sometimes = new(ones(2));
        using var optimizer = new FusedAdamW([new([new("always", always), new("sometimes", sometimes)], Decay)]);
        var reference = new ReferenceAdamW(ones(2), 0.9, 0.999);

        for (int step = 0; step < 4; step++)
        {
            optimizer.ZeroGrad();
            always.grad = full(2, 0.5f);
            if (step == 2)
            {
                sometimes.grad = full(2, 0.5f);
                reference.Step(full(2, 0.5), 0.1, Decay);
            }
            optimizer.Step(0.1);
        }

        AssertClose(reference.Weight, sometimes, 1e-6);   // one first step, with the bias correction of a first step
        Assert.AreEqual(4, optimizer.State["always.step"].item<float>());
        Assert.AreEqual(1, optimizer.State["sometimes.step"].item<float>());
    }

    [TestMethod]
    public void AGradientInAnotherMemoryLayoutIsTheSameGradient()
    {
        using var scope = NewDisposeScope();
        var gradient = arange(12, dtype: float32).reshape(4, 3).t() - 5;   // (3, 4), column by column in memory
        Parameter straight = new(ones(3, 4)), crossed = new(ones(3, 4));
        using var optimizer = new FusedAdamW([new([new("straight", straight), new("crossed", crossed)], 0)]);

        for (int step = 0; step < 3; step++)
        {
            straight.grad = gradient.contiguous() * (step + 1);
            crossed.grad = gradient * (step + 1);
            Assert.IsFalse(crossed.grad!.is_contiguous());
            optimizer.Step(0.1);
        }

        AssertClose(straight, crossed, 0);
    }

    [TestMethod]
    public void StateIsNamedAfterTheParametersAndRestorable()
    {
        using var scope = NewDisposeScope();
        Parameter first = new(ones(3)), second = new(ones(3));
        using var running = new FusedAdamW([new([new("w", first)], Decay)]);
        first.grad = tensor([1f, -2f, 3f]);
        running.Step(0.1);

        CollectionAssert.AreEquivalent(new[] { "w.first_moment", "w.second_moment", "w.step" }, running.State.Keys.ToArray());
        using var resumed = new FusedAdamW([new([new("w", second)], Decay)]);
        using (no_grad())
        {
            second.copy_(first);
            foreach (var (name, value) in running.State)
                resumed.State[name].copy_(value);
        }
        second.grad = first.grad = tensor([3f, 2f, 1f]);
        running.Step(0.1);
        resumed.Step(0.1);

        AssertClose(first, second, 0);
    }

    [TestMethod]
    public void StepsLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        var parameter = new Parameter(ones(4, 4));
        using var optimizer = new FusedAdamW([new([new("w", parameter)], Decay)]);
        parameter.grad = ones(4, 4);
        optimizer.Step(0.1);

        long before = LiveTensors.Count();
        for (int step = 0; step < 10; step++)
            optimizer.Step(0.1);
        Assert.AreEqual(before, Tensor.TotalCount);
    }

    [TestMethod]
    public void AParameterOrNameThatAppearsTwiceIsRefused()
    {
        using var scope = NewDisposeScope();
        Parameter one = new(ones(2)), two = new(ones(2));

        Assert.ThrowsExactly<ArgumentException>(() => new FusedAdamW([new([new("a", one)], 0), new([new("b", one)], 0)]));
        Assert.ThrowsExactly<ArgumentException>(() => new FusedAdamW([new([new("a", one), new("a", two)], 0)]));
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new FusedAdamW([], beta2: 1)).Message, "beta2 is 1");
    }

    [TestMethod]
    public void MatricesDecayAndVectorsBiasesAndPositionsDoNot()
    {
        using var scope = NewDisposeScope();
        using var model = new Sample();

        var groups = ParameterGroup.ForModule(model, 0.3);

        Assert.AreEqual(2, groups.Count);
        Assert.AreEqual(0.3, groups[0].WeightDecay);
        CollectionAssert.AreEquivalent(new[] { "weight1", "linear.weight" }, groups[0].Parameters.Select(pair => pair.Key).ToArray());
        Assert.AreEqual(0, groups[1].WeightDecay);
        CollectionAssert.AreEquivalent(
            new[] { "bias1", "positions", "classToken", "linear.bias", "norm.weight", "norm.bias" },
            groups[1].Parameters.Select(pair => pair.Key).ToArray());
    }

    private static KeyValuePair<string, Parameter> Named(Parameter parameter, int index) => new($"p{index}", parameter);

    private static void AssertClose(Tensor expected, Tensor actual, double tolerance) =>
        Assert.AreEqual(0, (expected.detach().to(float64) - actual.detach().to(float64)).abs().max().item<double>(), tolerance);

    /// <summary>The equations of AdamW in double precision.</summary>
    private sealed class ReferenceAdamW(Tensor start, double beta1 = Beta1, double beta2 = Beta2)
    {
        private Tensor m = zeros_like(start).to(float64);
        private Tensor v = zeros_like(start).to(float64);
        private int t;

        public Tensor Weight { get; private set; } = start.to(float64);

        public void Step(Tensor gradient, double rate, double decay)
        {
            var g = gradient.to(float64);
            t++;
            m = (beta1 * m) + ((1 - beta1) * g);
            v = (beta2 * v) + ((1 - beta2) * g * g);
            var mHat = m / (1 - Math.Pow(beta1, t));
            var vHat = v / (1 - Math.Pow(beta2, t));
            Weight = (Weight * (1 - (rate * decay))) - (rate * mHat / (vHat.sqrt() + Epsilon));
        }
    }

    private sealed class Sample : nn.Module<Tensor, Tensor>
    {
        private readonly Parameter weight1 = new(zeros(2, 3, 4));
        private readonly Parameter bias1 = new(zeros(2, 4));
        private readonly Parameter positions = new(zeros(1, 5, 3));
        private readonly Parameter classToken = new(zeros(1, 1, 3));
        private readonly Parameter frozen = new(zeros(3, 3), requires_grad: false);
        private readonly Linear linear = nn.Linear(3, 3);
        private readonly Linear again;
        private readonly TorchSharp.Modules.LayerNorm norm = nn.LayerNorm(3);

        public Sample() : base(nameof(Sample))
        {
            again = linear;   // used twice, trained once
            RegisterComponents();
        }

        public override Tensor forward(Tensor x) =>
            norm.forward(again.forward(linear.forward(x)))
            + weight1.sum()
            + bias1.sum()
            + positions.sum()
            + classToken.sum()
            + frozen.sum();
    }
}

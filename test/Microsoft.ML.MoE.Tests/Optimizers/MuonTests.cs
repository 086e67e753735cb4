using System.Text.RegularExpressions;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Optimizers;

[TestClass]
public sealed class MuonTests
{
    private const double Decay = 0.1;

    [TestMethod]
    [DataRow(24, 40)]
    [DataRow(16, 16)]
    [DataRow(1, 7)]
    public void SingularVectorsStayAndSingularValuesComeNearToOne(long shorter, long longer)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(1);
        var x = randn([3, shorter, longer], generator: generator);

        var (u, s, vt) = linalg.svd(x.to(float64), fullMatrices: false);
        var values = s / s.square().sum(-1, keepdim: true).sqrt();
        var found = values;
        for (int step = 0; step < 5; step++)
            found = 3.4445 * found - 4.7750 * found.pow(3) + 2.0315 * found.pow(5);
        TensorAssert.AreClose(u.matmul(found.unsqueeze(-1) * vt), TorchScripts.NewtonSchulz(x, float32), 1e-4);

        // The band that the coefficients were chosen for, of values that are not tiny.
        var reached = found.masked_select(values > 0.002);
        Assert.IsGreaterThan(x.shape[0] * shorter * 0.9, reached.numel());
        Assert.IsGreaterThan(0.68, reached.min().ToDouble());
        Assert.IsLessThan(1.21, reached.max().ToDouble());
    }

    [TestMethod]
    public void InBFloat16TheyAreTheSameToItsPrecision()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(2);
        var x = randn([2, 32, 96], generator: generator);
        var exact = TorchScripts.NewtonSchulz(x, float32);
        var rounded = TorchScripts.NewtonSchulz(x, bfloat16);
        Assert.AreEqual(bfloat16, rounded.dtype);
        Assert.IsLessThan(0.05 * exact.norm().ToDouble(), (rounded.to(float32) - exact).norm().ToDouble());
    }

    [TestMethod]
    public void TenStepsEqualThoseOfTheEquationsMatrixByMatrix()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        // Wide, tall, a row, filters, three layers in one, experts, experts of three layers each.
        (long[] Shape, long Joined, bool InputsFirst)[] kinds =
        [
            ([5, 33], 1, false), ([33, 5], 1, false), ([1, 7], 1, false), ([8, 3, 3, 3], 1, false),
            ([18, 6], 3, false), ([4, 5, 33], 1, true), ([4, 33, 5], 1, true), ([2, 6, 18], 3, true),
        ];
        var start = kinds.Select(kind => randn(kind.Shape, generator: generator)).ToArray();
        var ours = start.Select(value => new Parameter(value.clone())).ToArray();
        var plain = start.Select(value => value.to(float64)).ToArray();
        var means = plain.Select(value => zeros_like(value)).ToArray();
        var named = ours.Select((parameter, i) => KeyValuePair.Create($"p{i}", parameter)).ToArray();
        using var optimizer = new Muon(
            [new(named[..3], 0) { LearningRateScale = 2 }, new(named[3..], Decay)],
            ours.Zip(kinds, (parameter, kind) => new HiddenMatrices(parameter, kind.Joined, kind.InputsFirst)),
            precision: Precision.Float32);

        for (int step = 0; step < 10; step++)
        {
            var rate = 0.1 / (step + 1);
            for (int i = 0; i < ours.Length; i++)
            {
                var gradient = randn(kinds[i].Shape, generator: generator);
                ours[i].grad = gradient * 4;
                means[i] = 0.95 * means[i] + 0.05 * gradient.to(float64);
                var ahead = 0.95 * means[i] + 0.05 * gradient.to(float64);
                var (scaled, decay) = i < 3 ? (2 * rate, 0) : (rate, Decay);
                plain[i] = (1 - scaled * decay) * plain[i] - scaled * Define(ahead, kinds[i].Joined, kinds[i].InputsFirst);
            }
            optimizer.Step(rate, gradientDivisor: tensor(4f));
        }

        for (int i = 0; i < ours.Length; i++)
            TensorAssert.AreClose(plain[i], ours[i], 2e-5, $"parameter {i}");
    }

    // One matrix after the other, (O, I) each.
    private static Tensor Define(Tensor update, long joined, bool inputsFirst)
    {
        if (!inputsFirst)
            return cat(update.flatten(1).chunk(joined, 0).Select(Orthogonal).ToArray(), 0).view(update.shape);
        return stack(update.unbind(0).Select(expert =>
            cat(expert.chunk(joined, 1).Select(part => Orthogonal(part.mT).mT).ToArray(), 1)).ToArray());

        static Tensor Orthogonal(Tensor u_OI)
        {
            var y = u_OI / u_OI.norm();
            for (int step = 0; step < 5; step++)
            {
                var a = y.matmul(y.mT);
                y = 3.4445 * y + (-4.7750 * a + 2.0315 * a.matmul(a)).matmul(y);
            }
            return y * Math.Sqrt(Math.Max(1, (double)u_OI.shape[0] / u_OI.shape[1]));
        }
    }

    [TestMethod]
    public void AParameterWithoutGradientAZeroGradientAndASkippedStepLeaveThingsAsTheyAre()
    {
        using var scope = NewDisposeScope();
        Parameter always = new(ones(2, 3)), never = new(ones(2, 3)), still = new(ones(2, 3));
        using var optimizer = new Muon(
            [new([new("always", always), new("never", never), new("still", still)], Decay)],
            [new(always), new(never), new(still)]);

        (always.grad, still.grad) = (ones(2, 3), zeros(2, 3));
        optimizer.Step(0.1);
        var (weights, momentum) = (always.detach().clone(), optimizer.State["always.momentum"].clone());
        (always.grad, still.grad) = (full([2, 3], float.NaN), full([2, 3], float.PositiveInfinity));
        optimizer.Step(0.1, gradientDivisor: tensor(float.NaN), skip: tensor(1f));

        Assert.IsFalse(weights.allclose(ones(2, 3)), "the first step is made");
        TensorAssert.AreClose(weights, always, 0);
        TensorAssert.AreClose(momentum, optimizer.State["always.momentum"], 0);
        TensorAssert.AreClose(ones(2, 3), never, 0);
        TensorAssert.AreClose(full([2, 3], 0.99f), still, 1e-6, "decay alone");
    }

    [TestMethod]
    public void StateIsRestorableAndStepsLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(4);
        Parameter first = new(randn([3, 4], generator: generator)), second = new(first.detach().clone());
        using var running = new Muon([new([new("w", first)], Decay)], [new(first)]);
        using var resumed = new Muon([new([new("w", second)], Decay)], [new(second)]);
        var gradient = randn([3, 4], generator: generator);
        first.grad = gradient.clone();
        running.Step(0.1);
        using (no_grad())
            second.copy_(first);

        resumed.Restore(running.State);
        (first.grad, second.grad) = (gradient.clone(), gradient.clone());
        var before = LiveTensors.Count();
        for (int step = 0; step < 5; step++)
        {
            running.Step(0.1);
            resumed.Step(0.1);
        }

        Assert.AreEqual(before, Tensor.TotalCount);
        TensorAssert.AreClose(first, second, 0);
    }

    [TestMethod]
    public void ItTrainsTheMatricesBetweenHiddenLayersAndAdamWTheOthers()
    {
        var vision = VisionTransformerConfig.Tiny with { Representation = true, Experts = 4, ExpertWidth = 8, MixtureBlocks = 1 };
        AssertTrained(
            new VisionTransformer(vision),
            "attentions.n.output.weight attentions.n.queryKeyValue.weight feedForwards.n.contract.weight feedForwards.n.expand.weight "
                + "mixtures.n.experts.weight1 mixtures.n.experts.weight2 representation.weight",
            "classToken classes.weight mixtures.n.experts.bias1 mixtures.n.experts.bias2 mixtures.n.router.weight "
                + "patches.projection.weight positions");
        AssertTrained(
            new MlpMixer(MlpMixerConfig.Tiny),
            "blocks.n.channel.contract.weight blocks.n.channel.expand.weight blocks.n.spatial.contract.weight blocks.n.spatial.expand.weight",
            "classes.weight patches.projection.weight");
        AssertTrained(
            LanguageModelConfig.Nano.Build(),
            "attentions.n.output.weight attentions.n.queryKeyValue.weight feedForwards.n.network.contract.weight "
                + "feedForwards.n.network.expand.weight feedForwards.n.query.projection.weight",
            "feedForwards.n.keys.columnKeys feedForwards.n.keys.rowKeys scores.weight tokens.weight");
        AssertTrained(
            new Generalist(GeneralistConfig.Tiny),
            "blocks.n.attentionOutput.experts.weight blocks.n.contract.experts.weight blocks.n.expand.experts.weight "
                + "blocks.n.queryKeyValue.experts.weight projection.weight",
            "blocks.n.attentionOutput.experts.bias blocks.n.attentionRouter.gate.weight blocks.n.contract.experts.bias "
                + "blocks.n.expand.experts.bias blocks.n.feedForwardRouter.gate.weight blocks.n.queryKeyValue.experts.bias "
                + "patches.projection.weight positionsOfFrames positionsOfPatches positionsOfText roles.projection.weight special types "
                + "words.weight");
        AssertTrained(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)), "0.weight", "2.weight");

        static void AssertTrained(nn.Module module, string hidden, string others)
        {
            using var _ = module;
            var muon = Hidden(module);
            var matrices = module.named_parameters().Where(pair => pair.parameter.requires_grad && pair.parameter.dim() > 1);
            Assert.AreEqual(hidden, Kinds(muon));
            Assert.AreEqual(others, Kinds(matrices.Select(pair => pair.name).Except(muon)));
        }

        static string Kinds(IEnumerable<string> names) =>
            string.Join(' ', names.Select(name => Regex.Replace(name, @"\.\d+\.", ".n.")).Distinct().Order(StringComparer.Ordinal));
    }

    [TestMethod]
    public void BothLearningRatesFollowTheScheduleAndEveryParameterIsTrainedOnce()
    {
        using var scope = NewDisposeScope();
        using var model = new WideNet(WideNetConfig.Tiny);
        var options = Options();
        options.Optimizer = OptimizerKind.Muon;
        (options.LearningRate, options.MuonLearningRate, options.WeightDecay) = (1e-3, 0.02, 0.5);
        using var optimizer = TrainingOptimizer.Create(model, options.Settled(), _ => 1);
        CollectionAssert.AreEquivalent(
            model.parameters().Select(parameter => parameter.Handle).ToArray(),
            optimizer.Parameters.Select(parameter => parameter.Handle).ToArray());

        // Without gradients to speak of, weights shrink by their rate times the decay.
        foreach (var parameter in model.parameters())
            (parameter.grad, _) = (zeros_like(parameter), parameter.requires_grad);
        var before = model.named_parameters().ToDictionary(pair => pair.name, pair => pair.parameter.detach().clone());
        optimizer.Step(learningRate: 5e-4);
        foreach (var (name, parameter) in model.named_parameters())
        {
            var rate = Hidden(model).Contains(name) ? 0.01 : parameter.dim() < 2 || name.Contains("bias") || name == "positions" ? 0 : 5e-4;
            TensorAssert.AreClose(before[name] * (1 - 0.5 * rate), parameter, 1e-6, name);
        }
    }

    [TestMethod]
    public void WhatCannotWorkIsRefused()
    {
        AssertRefused("MuonLearningRate is -1", options => options.MuonLearningRate = -1);
        AssertRefused("MuonMomentum is 1", options => options.MuonMomentum = 1);
        AssertRefused("LearningRate is 0", options => (options.Optimizer, options.LearningRate) = (OptimizerKind.Muon, 0));
        using var other = new Parameter(ones(2, 2));
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new Muon([new([new("w", other)], 0)], [])).Message, "(2, 2) is not among");

        static void AssertRefused(string reason, Action<TrainingOptions> change)
        {
            var options = Options();
            change(options);
            StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(options.Validate).Message, reason);
        }
    }

    private static TrainingOptions Options() => new();

    private static string[] Hidden(nn.Module module)
    {
        using var optimizer = TrainingOptimizer.Create(module, new TrainingOptions { Optimizer = OptimizerKind.Muon }.Settled(), _ => 1);
        return [.. optimizer.State.Keys.Where(name => name.StartsWith("muon/", StringComparison.Ordinal)).Select(name => name["muon/".Length..^".momentum".Length])];
    }
}

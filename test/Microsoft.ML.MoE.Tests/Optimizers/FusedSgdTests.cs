using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.ML.MoE.Training;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Optimizers;

[TestClass]
public sealed class FusedSgdTests
{
    private const double Decay = 0.1;

    [TestMethod]
    [DataRow(0.9, false)]
    [DataRow(0.9, true)]
    [DataRow(0.0, false)]
    public void EqualsTheEquationsAndTorchSharpOverSeveralSteps(double momentum, bool nesterov)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        long[][] shapes = [[5, 7], [33, 65], [3], [1]];
        var start = shapes.Select(shape => randn(shape, generator: generator)).ToArray();
        var ours = start.Select(value => new Parameter(value.clone())).ToArray();
        var theirs = start.Select(value => new Parameter(value.clone())).ToArray();
        var weights = start.Select(value => value.to(float64)).ToArray();
        var sums = weights.Select(value => zeros_like(value)).ToArray();
        using var optimizer = new FusedSgd(
            [
                new(ours[..2].Select((parameter, i) => KeyValuePair.Create($"p{i}", parameter)).ToArray(), Decay),
                new(ours[2..].Select((parameter, i) => KeyValuePair.Create($"p{i + 2}", parameter)).ToArray(), 0),
            ],
            momentum,
            nesterov);
        using optim.Optimizer decaying = optim.SGD(theirs[..2], 0.1, momentum, weight_decay: Decay, nesterov: nesterov),
            others = optim.SGD(theirs[2..], 0.1, momentum, nesterov: nesterov);

        for (int step = 0; step < 6; step++)
        {
            double rate = 0.1 / (step + 1);
            foreach (var group in decaying.ParamGroups.Concat(others.ParamGroups))
                group.LearningRate = rate;
            for (int i = 0; i < ours.Length; i++)
            {
                var gradient = randn(shapes[i], generator: generator);
                ours[i].grad = gradient * 4;
                theirs[i].grad = gradient.clone();
                var d = gradient.to(float64) + ((i < 2 ? Decay : 0) * weights[i]);
                sums[i] = (momentum * sums[i]) + d;
                weights[i] -= rate * (nesterov ? d + (momentum * sums[i]) : sums[i]);
            }
            optimizer.Step(rate, gradientDivisor: tensor(4f));
            decaying.step();
            others.step();

            for (int i = 0; i < ours.Length; i++)
            {
                TensorAssert.AreClose(weights[i], ours[i], 2e-6);
                TensorAssert.AreClose(theirs[i], ours[i], 2e-6);
            }
        }
        Assert.AreEqual(momentum > 0 ? 4 : 0, optimizer.State.Count);
    }

    [TestMethod]
    public void AParameterWithoutGradientAndASkippedStepAreLeftAlone()
    {
        using var scope = NewDisposeScope();
        Parameter always = new(ones(2)),
            never = new(ones(2));
        using var optimizer = new FusedSgd(
            [new([new("always", always), new("never", never)], Decay) { LearningRateScale = 2 }], momentum: 0.5);

        always.grad = ones(2);
        optimizer.Step(0.1);   // 1 - 0.2 (1 + 0.1)
        always.grad = full(2, float.NaN);
        optimizer.Step(0.1, skip: tensor(1f));

        TensorAssert.AreClose(full(2, 0.78f), always, 1e-6);
        TensorAssert.AreClose(full(2, 1.1f), optimizer.State["always.momentum"], 1e-6);
        TensorAssert.AreClose(ones(2), never, 0);
    }

    [TestMethod]
    public void StateIsRestorableAndStepsLeaveNoTensorBehind()
    {
        using var scope = NewDisposeScope();
        Parameter first = new(ones(3)), second = new(ones(3));
        using var running = new FusedSgd([new([new("w", first)], Decay)]);
        using var resumed = new FusedSgd([new([new("w", second)], Decay)]);
        first.grad = tensor([1f, -2f, 3f]);
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
    }

    [TestMethod]
    public void ALookAheadWithoutMomentumIsRefused()
    {
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => new FusedSgd([], momentum: 0, nesterov: true)).Message, "momentum is 0");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => new FusedSgd([], momentum: 1)).Message, "momentum is 1");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() =>
                    new TrainingOptions
                    {
                        Optimizer = OptimizerKind.Sgd,
                        Momentum = 0,
                        Nesterov = true,
                    }.Validate())
                .Message,
            "Momentum is 0");
    }
}

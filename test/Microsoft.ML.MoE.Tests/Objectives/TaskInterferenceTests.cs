using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Objectives;

[TestClass]
public sealed class TaskInterferenceTests
{
    [TestMethod]
    public void OpposedGradientsHinderAsMuchAsAlikeOnesHelp()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var direction_1P = randn(1, 50);
        var alike_AP = direction_1P + (0.05 * randn(20, 50));

        var found = TaskInterference.Measure(
            3, ["one", "same", "opposed", "unrelated"], [alike_AP, direction_1P + (0.05 * randn(20, 50)), -alike_AP, Orthogonal()]);

        Assert.AreEqual(3, found.Block);
        for (var task = 0; task < 3; task++)
            Assert.AreEqual(1, found.MeanOfRatios[task][task], 1e-5);
        Assert.AreEqual(1, found.MeanOfRatios[0][1], 0.02);
        Assert.AreEqual(-1, found.MeanOfRatios[0][2], 1e-5);
        Assert.AreEqual(-1, found.RatioOfMeans[2][0], 1e-5);
        Assert.AreEqual(0, found.RatioOfMeans[0][3], 0.02);

        Tensor Orthogonal()
        {
            var other_AP = randn(1, 50) + (0.05 * randn(20, 50));
            return other_AP - (other_AP.matmul(direction_1P.transpose(0, 1)) * direction_1P / direction_1P.square().sum());
        }
    }

    [TestMethod]
    public void IsWhatTheLoopOverPairsGives()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(2, CPU);
        Tensor[] gradients = [randn(3, 4) + 1, randn(3, 4) + 1];

        var found = TaskInterference.Measure(0, ["a", "b"], gradients);

        double Gain(int j, int i, int a) =>
            Enumerable
                .Range(0, 3)
                .Where(b => b != a)
                .Average(b => (gradients[j][b].dot(gradients[i][a]) / gradients[j][b].norm()).ToDouble());
        for (var i = 0; i < 2; i++)
        {
            for (var j = 0; j < 2; j++)
            {
                Assert.AreEqual(Enumerable.Range(0, 3).Average(a => Gain(j, i, a) / Gain(i, i, a)), found.MeanOfRatios[i][j], 1e-3);
                Assert.AreEqual(
                    Enumerable.Range(0, 3).Sum(a => Gain(j, i, a)) / Enumerable.Range(0, 3).Sum(a => Gain(i, i, a)),
                    found.RatioOfMeans[i][j],
                    1e-3);
            }
        }
        Assert.ThrowsExactly<ArgumentException>(() => TaskInterference.Measure(0, ["a"], [zeros(1, 4)]));
        Assert.ThrowsExactly<ArgumentException>(() => TaskInterference.Measure(0, ["a", "b"], [zeros(2, 4), zeros(3, 4)]));
    }

    [TestMethod]
    public void TheSameTaskTwiceHelpsItselfInEveryBlock()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(3, CPU);
        using var model = GeneralistConfig.Nano.Build();
        var labels = tensor(new long[] { 0, 1, 0, 1 });
        var task = new GeneralistTask
        {
            Name = "one",
            Kind = GeneralistTaskKind.ImageClassification,
            LossWeight = 7,
        };
        Tensor[] images =
        [
            .. Enumerable.Range(0, 4).Select(_ => randn(4, 3, 4, 4) + (3 * (labels.to_type(float32) - 0.5).view(4, 1, 1, 1))),
        ];
        IEnumerable<GeneralistBatch> Batches(GeneralistTask of) =>
            images.Select(image => new GeneralistBatch(
                of,
                image.alias(),
                null,
                PaddedTexts.Create(
                    [
                        [1],
                        [2],
                    ],
                    CPU),
                labels.alias()));

        var found = TaskInterference.Measure(
            model, [("one", Batches(task)), ("again", Batches(task with { Name = "again", LossWeight = 1 }))]);

        Assert.HasCount(2, found);
        foreach (var layer in found)
        {
            Assert.AreEqual(1, layer.RatioOfMeans[0][1], 1e-4);
            Assert.AreEqual(1, layer.RatioOfMeans[1][0], 1e-4);
        }
        Assert.IsTrue(model.training && model.parameters().All(parameter => parameter.grad is null));
    }
}

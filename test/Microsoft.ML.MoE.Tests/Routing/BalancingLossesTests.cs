using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Routing;

[TestClass]
public sealed class BalancingLossesTests
{
    // The gates of V-MoE's own unit tests, with the losses worked out by hand from the definitions.
    private static Tensor VmoeGates() => tensor(new[,] { { .5, .4, .1 }, { .3, .3, .4 }, { .1, .2, .7 }, { .8, .2, 0 } });

    [TestMethod]
    public void GShardLossOfVmoesGates() => Assert.AreEqual(1.0875, BalancingLosses.GShard(VmoeGates()).ToDouble(), 1e-9);

    [TestMethod]
    public void ImportanceLossOfVmoesGates() => Assert.AreEqual(0.03874999, BalancingLosses.Importance(VmoeGates()).ToDouble(), 1e-7);

    [TestMethod]
    public void EvenRoutingCostsOneWhateverTheChoices()
    {
        using var scope = NewDisposeScope();
        var probs_TE = full([8, 4], 0.25);
        foreach (var choices in new[] { 1, 2, 4 })
        {
            var ids_TK = (arange(8, int64).unsqueeze(1) + arange(choices, int64)).remainder(4);
            Assert.AreEqual(1, BalancingLosses.TopK(probs_TE, ids_TK).ToDouble(), 1e-6, $"K = {choices}");
        }
        Assert.AreEqual(0, BalancingLosses.Importance(probs_TE).ToDouble(), 1e-12);
    }

    [TestMethod]
    public void OneExpertTakingAllCostsTheNumberOfExperts()
    {
        using var scope = NewDisposeScope();
        var logits_TE = zeros(8, 5);
        logits_TE[TensorIndex.Colon, 2] = 50;
        var probs_TE = logits_TE.softmax(1);
        Assert.AreEqual(5, BalancingLosses.TopK(probs_TE, probs_TE.argmax(1, keepdim: true)).ToDouble(), 1e-5);
    }

    [TestMethod]
    public void HandComputedTwoChoices()
    {
        using var scope = NewDisposeScope();
        var probs_TE = tensor(new[,] { { .6, .3, .1 }, { .2, .5, .3 } });
        var ids_TK = tensor(new long[,] { { 0, 1 }, { 1, 2 } });
        // m = (1/4, 2/4, 1/4), P = (.4, .4, .2): 3 · (.1 + .2 + .05)
        Assert.AreEqual(1.05, BalancingLosses.TopK(probs_TE, ids_TK).ToDouble(), 1e-9);
    }

    // Rows .9 .5 .1 and .1 .5 .9 in turn: every expert is equally important, but the middle one is never chosen. Logits are the
    // logarithms, as the rows do not sum to 1.
    private static Tensor NeverTheMiddleOne() => tensor(new[,] { { .9, .5, .1 }, { .1, .5, .9 }, { .9, .5, .1 }, { .1, .5, .9 } }).log();

    [TestMethod]
    public void EquallyImportantExpertsOfWhichOneIsNeverChosen()
    {
        using var scope = NewDisposeScope();
        var logits_TE = NeverTheMiddleOne();
        var ids_TK = logits_TE.argmax(1, keepdim: true);
        TensorAssert.AreClose(full(3, 4 / 3.0, float64), logits_TE.softmax(1).sum([0]));
        Assert.AreEqual(0, BalancingLosses.Importance(logits_TE.softmax(1)).ToDouble(), 1e-12);

        // σ = 1/3 and no noise drawn: a chosen expert's own p is Φ(0) = ½, that of the middle one Φ(−3·ln(.9/.5)) = 0.03893. Loads 1.0000,
        // 0.1557, 1.0000.
        Assert.AreEqual(0.3068, BalancingLosses.Load(logits_TE, logits_TE, ids_TK, 1 / 3.0).ToDouble(), 5e-5);
        Assert.AreEqual(0.3068 / 2, BalancingLosses.ImportanceAndLoad(logits_TE, logits_TE, ids_TK, 1 / 3.0).ToDouble(), 2.5e-5);
    }

    [TestMethod]
    public void LoadOfTwoChoicesUnderRealisedNoiseByHand()
    {
        using var scope = NewDisposeScope();
        var logits_TE = tensor(new[,] { { 1.0, 0.5, 0.0 }, { 0.2, 0.4, 0.9 } });
        var noisy_TE = tensor(new[,] { { 0.9, 0.3, 0.4 }, { 0.5, 0.1, 1.0 } });
        var ids_TK = tensor(new long[,] { { 0, 2 }, { 2, 0 } });

        // K = 2, σ = 0.5. The second largest noisy logits are 0.4 and 0.5, so Φ of (1.2, 0.2, −0.8) and (−0.6, −0.2, 0.8):
        //     0.884930 + 0.274253 = 1.159183,   0.579260 + 0.420740 = 1,   0.211855 + 0.788145 = 1
        // Mean 1.053061, deviations 0.106122, −0.053061, −0.053061: population variance 0.005631, over the mean squared 0.005078.
        Assert.AreEqual(0.005078, BalancingLosses.Load(logits_TE, noisy_TE, ids_TK, 0.5).ToDouble(), 1e-6);

        // Importance is that of the logits without noise.
        var e = new[,]
        {
            { Math.Exp(1), Math.Exp(.5), 1 },
            { Math.Exp(.2), Math.Exp(.4), Math.Exp(.9) },
        };
        var importance = Enumerable
            .Range(0, 3)
            .Select(i => Enumerable.Range(0, 2).Sum(t => e[t, i] / (e[t, 0] + e[t, 1] + e[t, 2])))
            .ToArray();
        var mean = importance.Average();
        var variation = importance.Average(x => (x - mean) * (x - mean)) / (mean * mean);
        Assert.AreEqual((variation + 0.005078) / 2, BalancingLosses.ImportanceAndLoad(logits_TE, noisy_TE, ids_TK, 0.5).ToDouble(), 1e-6);
        Assert.AreEqual(
            variation / 2,
            BalancingLosses.ImportanceAndLoad(logits_TE, logits_TE, ids_TK, 0).ToDouble(),
            1e-9,
            "without noise there is no load loss");
    }

    [TestMethod]
    public void UniformRoutingHasNeitherLoss()
    {
        using var scope = NewDisposeScope();
        var logits_TE = full([8, 4], 0.3, float64);
        foreach (var choices in new[] { 1, 2, 4 })
        {
            var ids_TK = (arange(8, int64).unsqueeze(1) + arange(choices, int64)).remainder(4);
            Assert.AreEqual(0, BalancingLosses.ImportanceAndLoad(logits_TE, logits_TE, ids_TK, 0.25).ToDouble(), 1e-12, $"K = {choices}");
        }
    }

    [TestMethod]
    public void ASingleExpertHasNeitherLossAndNoGradient()
    {
        using var scope = NewDisposeScope();
        var logits_TE = tensor(new[,] { { 1.0 }, { -2.0 } }).requires_grad_(true);
        var loss = BalancingLosses.ImportanceAndLoad(logits_TE, logits_TE + 0.1, zeros([2, 1], int64), 1);
        loss.backward();
        Assert.AreEqual(0, loss.ToDouble());
        TensorAssert.AreClose(zeros(2, 1), logits_TE.grad!);
    }

    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(4)]
    public void GradientsFlowThroughLogitsAndThreshold(int choices)
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(choices, CPU);
        var logits_TE = randn([6, 4], float64).requires_grad_(true);
        var noise_TE = randn([6, 4], float64) * 0.25;
        Loss(logits_TE).backward();

        using var noGrad = no_grad();
        const double step = 1e-6;
        for (var t = 0; t < 6; t++)
        {
            for (var e = 0; e < 4; e++)
            {
                var shift_TE = zeros(6, 4, dtype: float64);
                shift_TE[t, e] = step;
                var slope = (Loss(logits_TE + shift_TE) - Loss(logits_TE - shift_TE)).ToDouble() / (2 * step);
                Assert.AreEqual(slope, logits_TE.grad![t, e].ToDouble(), 1e-7, $"token {t}, expert {e}");
            }
        }

        Tensor Loss(Tensor l_TE)
        {
            var noisy_TE = l_TE + noise_TE;
            return BalancingLosses.ImportanceAndLoad(l_TE, noisy_TE, noisy_TE.topk(choices, dim: 1).indexes, 0.25);
        }
    }

    [TestMethod]
    public void LoadWithoutNoiseIsRefused()
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => BalancingLosses.Load(zeros(2, 3), zeros(2, 3), zeros([2, 1], int64), 0));
        Assert.Contains("noise deviation is 0", error.Message);
    }
}

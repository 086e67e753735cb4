using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Routing;

[TestClass]
public sealed class TopKRouterTests
{
    [TestMethod]
    public void ChoosesTheLargestProbabilitiesWithoutRenormalising()
    {
        using var scope = NewDisposeScope();
        using var router = Router(new TopKRouterOptions { Experts = 3, ExpertsPerToken = 2 }, [[1, 0], [0, 1], [1, 1]]);
        router.eval();

        var decision = router.forward(tensor(new float[,] { { 2, 1 } }));   // logits 2, 1, 3

        var sum = Math.Exp(2) + Math.Exp(1) + Math.Exp(3);
        TensorAssert.AreEqual([2, 0], decision.ExpertIds_TK);
        TensorAssert.AreClose(tensor(new[,] { { Math.Exp(3) / sum, Math.Exp(2) / sum } }), decision.Gates_TK);
        Assert.IsLessThan(1, decision.Gates_TK.sum().ToDouble());
    }

    [TestMethod]
    public void NoiseHasStandardDeviationOneOverExpertsInTrainingOnly()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(7, CPU);
        const int experts = 4, tokens = 20_000;
        using var router = Router(new TopKRouterOptions { Experts = experts, ExpertsPerToken = experts }, [[0], [0], [0], [0]]);
        var x_TD = ones(tokens, 1);

        router.train();
        var decision = router.forward(x_TD);
        var probs_TE = zeros(tokens, experts).scatter(1, decision.ExpertIds_TK, decision.Gates_TK);
        var logits_TE = probs_TE.log();
        var differences_T = logits_TE.select(1, 0) - logits_TE.select(1, 1);   // the softmax's constant cancels: N(0, 2/E²)
        Assert.AreEqual(Math.Sqrt(2) / experts, differences_T.std().ToDouble(), 0.01);

        router.eval();
        TensorAssert.AreClose(full([tokens, experts], 0.25), router.forward(x_TD).Gates_TK, 1e-6);
    }

    [TestMethod]
    public void GradientReachesTheWeightsThroughGatesAndLoss()
    {
        using var scope = NewDisposeScope();
        using var seed = new SeedScope(1, CPU);
        var x_TD = randn(5, 3);
        var weight_ED = randn(4, 3, dtype: float64).requires_grad_(true);
        using var router = new TopKRouter(3, new TopKRouterOptions { Experts = 4, ExpertsPerToken = 2, NoiseScale = 0 });
        using (no_grad())
            router.parameters().Single().copy_(weight_ED);

        var decision = router.forward(x_TD);
        (decision.Gates_TK.square().sum() + decision.BalanceLoss).backward();

        var probs_TE = x_TD.to_type(float64).matmul(weight_ED.T).softmax(1);
        var gates_TK = probs_TE.gather(1, decision.ExpertIds_TK);
        var fraction_E = stack(Enumerable.Range(0, 4).Select(e => decision.ExpertIds_TK.eq(e).to_type(float64).sum() / 10));
        (gates_TK.square().sum() + 4 * (fraction_E * probs_TE.mean([0])).sum()).backward();
        TensorAssert.AreClose(weight_ED.grad!, router.parameters().Single().grad!, 1e-5);
    }

    [TestMethod]
    public void ImportanceAndLoadAreThoseOfTheNoiseThatWasDrawn()
    {
        using var scope = NewDisposeScope();
        var options = new TopKRouterOptions { Experts = 4, ExpertsPerToken = 4, BalancingLoss = BalancingLoss.ImportanceAndLoad };
        using var router = new TopKRouter(3, options);
        var x_TD = randn(10, 3);
        var logits_TE = x_TD.matmul(router.parameters().Single().T);

        using (new SeedScope(5, CPU))
        {
            router.train();
            var decision = router.forward(x_TD);
            using var seed = new SeedScope(5, CPU);
            var noisy_TE = logits_TE + (randn_like(logits_TE) / 4);
            TensorAssert.AreClose(noisy_TE.softmax(1).gather(1, decision.ExpertIds_TK), decision.Gates_TK);
            TensorAssert.AreClose(
                BalancingLosses.ImportanceAndLoad(logits_TE, noisy_TE, decision.ExpertIds_TK, 0.25), decision.BalanceLoss);
        }

        router.eval();
        TensorAssert.AreClose(BalancingLosses.Importance(logits_TE.softmax(1)) / 2, router.forward(x_TD).BalanceLoss);
    }

    [TestMethod]
    public void GatesForOtherwiseChosenExpertsAreTheirProbabilities()
    {
        using var scope = NewDisposeScope();
        using var router = Router(new TopKRouterOptions { Experts = 3, ExpertsPerToken = 1 }, [[1, 0], [0, 1], [1, 1]]);
        router.eval();
        var gates_TK = router.GatesFor(tensor(new float[,] { { 2, 1 } }), tensor(new long[,] { { 1 } }));
        Assert.AreEqual(Math.Exp(1) / (Math.Exp(2) + Math.Exp(1) + Math.Exp(3)), gates_TK.ToDouble(), 1e-6);
    }

    [TestMethod]
    [DataRow(0, 1, 1.0, "Experts is 0")]
    [DataRow(4, 5, 1.0, "ExpertsPerToken is 5; it must be between 1 and Experts (4)")]
    [DataRow(4, 0, 1.0, "ExpertsPerToken is 0")]
    [DataRow(4, 2, -1.0, "NoiseScale is -1")]
    [DataRow(4, 2, double.NaN, "NoiseScale is NaN")]
    public void BadOptionsAreNamed(int experts, int choices, double noise, string message)
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() =>
            new TopKRouter(
                2,
                new TopKRouterOptions
                {
                    Experts = experts,
                    ExpertsPerToken = choices,
                    NoiseScale = noise,
                }
            ));
        Assert.Contains(message, error.Message);
    }

    [TestMethod]
    public void AnUnknownBalancingLossIsNamed()
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => new TopKRouterOptions { BalancingLoss = (BalancingLoss)9 }.Validate());
        Assert.Contains("BalancingLoss is 9; it must be one of TopK, ImportanceAndLoad", error.Message);
    }

    private static TopKRouter Router(TopKRouterOptions options, float[][] weights)
    {
        var router = new TopKRouter(weights[0].Length, options);
        using var noGrad = no_grad();
        router.parameters().Single().copy_(tensor(weights.SelectMany(row => row).ToArray(), [weights.Length, weights[0].Length]));
        return router;
    }
}

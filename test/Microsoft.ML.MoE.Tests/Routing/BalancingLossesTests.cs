using Microsoft.ML.MoE.Routing;
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
}

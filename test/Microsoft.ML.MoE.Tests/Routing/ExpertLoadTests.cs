using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Routing;

[TestClass]
public sealed class ExpertLoadTests
{
    [TestMethod]
    public void StatisticsOfHandMadeCounts()
    {
        var load = new ExpertLoad([6, 2, 0, 0], 2);
        CollectionAssert.AreEqual(new[] { .75, .25, 0, 0 }, load.Fractions.ToArray());
        Assert.AreEqual(0.25, load.DroppedFraction, 1e-12);
        Assert.AreEqual(1.5, load.SquaredVariation, 1e-12);   // mean 2: (16 + 0 + 4 + 4) / 4 / 4
        Assert.AreEqual(-(.75 * Math.Log(.75)) - (.25 * Math.Log(.25)), load.Entropy, 1e-12);
        Assert.AreEqual(Math.Log(4), new ExpertLoad([3, 3, 3, 3], 0).Entropy, 1e-12);
        Assert.AreEqual(0, new ExpertLoad([3, 3, 3, 3], 0).SquaredVariation, 1e-12);
        Assert.AreEqual(0, new ExpertLoad([0, 0], 0).Entropy + new ExpertLoad([0, 0], 0).SquaredVariation);
        CollectionAssert.AreEqual(new long[] { 7, 4, 1, 0 }, load.Add(new ExpertLoad([1, 2, 1, 0], 1)).Counts.ToArray());
    }

    [TestMethod]
    public void ARecordGivesTheCountsAndDropsOfItsPlan()
    {
        using var scope = NewDisposeScope();
        // T = 4, K = 2, E = 4, C = 1: floor(1·2·4/4) = 2 places. Expert 0 is asked four times, 1 twice, 2 and 3 once; only expert 0 turns
        // pairs away, two of them.
        var ids_TK = tensor(new long[,] { { 1, 0 }, { 0, 2 }, { 0, 3 }, { 1, 0 } });
        var decision = new RoutingDecision(ids_TK, full(ids_TK.shape, 0.5f), zeros([]));
        var record = new RoutingRecord(decision, DispatchPlan.Create(decision, 4, new ExpertCapacity(1)));
        var tensors = LiveTensors.Count();

        var load = ExpertLoad.From(record);

        Assert.AreEqual(tensors, Tensor.TotalCount);
        CollectionAssert.AreEqual(new long[] { 4, 2, 1, 1 }, load.Counts.ToArray());
        Assert.AreEqual(2, load.Dropped);
        Assert.AreEqual(8, load.Total);
        Assert.AreEqual(0.25, load.DroppedFraction, 1e-12);
        Assert.AreEqual(0.375, load.SquaredVariation, 1e-12);   // mean 2: (4 + 0 + 1 + 1) / 4 / 4
        Assert.AreEqual(1.75 * Math.Log(2), load.Entropy, 1e-12);   // 1/2·1 + 1/4·2 + 2·(1/8·3) bits
    }

    [TestMethod]
    public void LoadsOfDifferentNumbersOfExpertsAreNotAdded()
    {
        var error = Assert.ThrowsExactly<ArgumentException>(() => new ExpertLoad([1, 2], 0).Add(new ExpertLoad([1, 2, 3], 0)));
        Assert.Contains("The other load has 3 experts; this one has 2.", error.Message);
    }
}

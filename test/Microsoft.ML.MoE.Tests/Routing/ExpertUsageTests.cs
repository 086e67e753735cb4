using Microsoft.ML.MoE.Routing;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Tests.Routing;

[TestClass]
public sealed class ExpertUsageTests
{
    [TestMethod]
    public void UniformIsEvenAndASingleExpertIsAsUnevenAsCanBe()
    {
        var even = Of([0, 1, 2, 3], [1, 1, 1, 1], 4);
        Assert.AreEqual(0, even.Unevenness, 1e-12);
        Assert.AreEqual(0, even.UnweightedUnevenness, 1e-12);
        Assert.AreEqual(1, even.Usage);

        var single = Of([2, 2, 2], [0.5f, 0.25f, 1], 8);
        Assert.AreEqual(Math.Log(8), single.Unevenness, 1e-12);
        Assert.AreEqual(Math.Log(8), single.UnweightedUnevenness, 1e-12);
        Assert.AreEqual(1 / 8.0, single.Usage);
        Assert.AreEqual(1 / 8.0, single.UnweightedUsage);
    }

    [TestMethod]
    public void GatesWeighTheExpertsAndCountsDoNot()
    {
        // z' = (3, 1, 0, 0), counts (1, 2, 0, 1): the last expert was chosen with gate 0.
        var usage = Of([0, 1, 1, 3], [3, 0.5f, 0.5f, 0], 4);
        Assert.AreEqual(Math.Log(4) + (0.75 * Math.Log(0.75)) + (0.25 * Math.Log(0.25)), usage.Unevenness, 1e-12);
        Assert.AreEqual(Math.Log(4) + (2 * 0.25 * Math.Log(0.25)) + (0.5 * Math.Log(0.5)), usage.UnweightedUnevenness, 1e-12);
        Assert.AreEqual(0.5, usage.Usage);
        Assert.AreEqual(0.75, usage.UnweightedUsage);
        CollectionAssert.AreEqual(new[] { 3.0, 1, 0, 0 }, usage.Gates.ToArray());
        CollectionAssert.AreEqual(new[] { 1L, 2, 0, 1 }, usage.Counts.ToArray());
    }

    [TestMethod]
    public void BatchesAddUp()
    {
        using var scope = NewDisposeScope();
        var usage = new ExpertUsage(3);
        Assert.AreEqual(0, usage.Unevenness);
        Assert.AreEqual(0, usage.Usage);
        usage.Add(new ExpertSelection(tensor(new[] { 0L, 1 }, [1, 2]), tensor(new[] { 0.5f, 0.5f }, [1, 2]), 3));
        usage.Add(new ExpertSelection(tensor(new[] { 2L, 1 }, [2, 1]), tensor(new[] { 0.5f, 0.5f }, [2, 1]), 3));
        Assert.AreEqual(4, usage.Pairs);
        CollectionAssert.AreEqual(new[] { 0.5, 1, 0.5 }, usage.Gates.ToArray());
        CollectionAssert.AreEqual(new[] { 1L, 2, 1 }, usage.Counts.ToArray());
    }

    [TestMethod]
    public void WhatDoesNotFitIsRefusedAndLeavesTheSumsAlone()
    {
        using var scope = NewDisposeScope();
        var usage = new ExpertUsage(4);
        Refused("among 5 experts; this adds up 4", [0], [1], 5);
        Refused("Pair 1 is of expert 4", [0, 4], [1, 1], 4);
        Refused("gate of pair 1 is NaN", [0, 1], [1, float.NaN], 4);
        Refused("gate of pair 0 is -1", [0], [-1], 4);
        Assert.AreEqual(0, usage.Pairs);
        Assert.IsTrue(usage.Gates.All(gate => gate == 0));
        Assert.Contains("is 0; it must be at least 1", Assert.ThrowsExactly<ArgumentException>(() => new ExpertUsage(0)).Message);

        void Refused(string message, long[] ids, float[] gates, long experts) =>
            Assert.Contains(
                message,
                Assert.ThrowsExactly<ArgumentException>(() => usage.Add(new ExpertSelection(tensor(ids), tensor(gates), experts))).Message);
    }

    private static ExpertUsage Of(long[] ids, float[] gates, int experts)
    {
        using var scope = NewDisposeScope();
        var usage = new ExpertUsage(experts);
        usage.Add(new ExpertSelection(tensor(ids, [1, ids.Length]), tensor(gates, [1, ids.Length]), experts));
        return usage;
    }
}

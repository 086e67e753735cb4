using Microsoft.ML.MoE.Kernels;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Kernels;

[TestClass]
public sealed unsafe class WorkTeamTests
{
    [TestMethod]
    [DataRow(1)]
    [DataRow(2)]
    [DataRow(7)]
    public void EveryLoopIsDoneBeforeTheNextBegins(int threads)
    {
        var counts = new int[1000];
        WorkTeam.Run(threads, team =>
        {
            for (var loop = 0; loop < 200; loop++)
            {
                var expected = loop;
                team.ForEach(counts.Length, (item, _) =>
                {
                    if (counts[item] != expected)
                        throw new InvalidOperationException($"Item {item} was at {counts[item]} in loop {expected}.");
                    counts[item]++;
                });
            }
        });
        Assert.IsTrue(counts.All(count => count == 200));
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(1)]
    [DataRow(3)]
    [DataRow(1001)]
    public void RangesCoverEverythingOnce(int count)
    {
        var seen = new int[count];
        WorkTeam.Run(3, team => team.ForRanges(count, (start, end) =>
        {
            for (var i = start; i < end; i++)
                Interlocked.Increment(ref seen[i]);
        }));
        Assert.IsTrue(seen.All(times => times == 1));
    }

    [TestMethod]
    public void ThreadsHaveMemoryOfTheirOwn()
    {
        var wrong = 0;
        WorkTeam.Run(4, team => team.ForEach(400, (item, scratch) =>
        {
            for (var i = 0; i < 1000; i++)
                scratch[i] = item;
            Thread.SpinWait(500);
            for (var i = 0; i < 1000; i++)
            {
                if (scratch[i] != item)
                    Interlocked.Increment(ref wrong);
            }
        }));
        Assert.AreEqual(0, wrong);
    }

    [TestMethod]
    public void AFailureReachesTheCaller()
    {
        var e = Assert.ThrowsExactly<InvalidOperationException>(() => WorkTeam.Run(2, team => team.ForEach(100, (item, _) =>
        {
            if (item == 57)
                throw new ArgumentException("item 57");
        })));
        StringAssert.Contains(e.Message, "item 57");
        Assert.IsInstanceOfType<ArgumentException>(e.InnerException);
    }
}

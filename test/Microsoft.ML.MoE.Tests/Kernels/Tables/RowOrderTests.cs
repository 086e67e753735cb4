using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Tables;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Kernels.Tables;

[TestClass]
public sealed unsafe class RowOrderTests
{
    [TestMethod]
    [DataRow(0, 10)]
    [DataRow(1, 1)]
    [DataRow(50, 1)]
    [DataRow(1000, 7)]
    [DataRow(1000, 2048)]
    [DataRow(1000, 2000)]
    [DataRow(1000, 2049)]
    [DataRow(70_000, 1 << 16)]
    [DataRow(70_000, (1 << 16) + 1)]
    [DataRow(5000, 1 << 20)]
    [DataRow(300, int.MaxValue)]
    public void RowsAscendAndTheirPairsKeepTheirOrder(int pairs, int rows)
    {
        var random = new Random(pairs + rows);
        var rowOfPair = Enumerable.Range(0, pairs).Select(_ => random.NextInt64(rows)).ToArray();
        if (pairs > 1)
            rowOfPair[pairs / 2] = rows - 1;
        var expected = rowOfPair.Select((row, pair) => (row, pair)).GroupBy(p => p.row, p => p.pair).OrderBy(group => group.Key).ToArray();
        foreach (var threads in new[] { 1, 2, 5 })
        {
            fixed (long* p = rowOfPair)
            {
                var list = p;
                WorkTeam.Run(threads, team =>
                {
                    using var order = new RowOrder(team, list, pairs, rows);
                    Assert.AreEqual(expected.Length, order.Count);
                    for (var i = 0; i < order.Count; i++)
                    {
                        Assert.AreEqual(expected[i].Key, order.Rows[i]);
                        CollectionAssert.AreEqual(
                            expected[i].ToArray(), new Span<int>(order.Pairs + order.Start(i), order.Ends[i] - order.Start(i)).ToArray());
                    }
                });
            }
        }
    }
}

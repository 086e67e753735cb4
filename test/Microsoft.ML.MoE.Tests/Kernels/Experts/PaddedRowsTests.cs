using Microsoft.ML.MoE.Kernels.Experts;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Microsoft.ML.MoE.Tests.Kernels.Experts;

[TestClass]
public sealed class PaddedRowsTests
{
    [TestMethod]
    [DataRow(new[] { 1 }, 1000, 2)]
    [DataRow(new[] { 0, 0, 5, 0 }, 1000, 2)]          // experts without rows
    [DataRow(new[] { 0 }, 1000, 2)]                   // no rows at all
    [DataRow(new[] { 561, 507, 494, 1 }, 10_000, 2)]
    [DataRow(new[] { 8721, 3 }, 100_000, 4)]          // an expert of many slices
    [DataRow(new[] { 300, 900, 20, 20 }, 256, 1)]     // chunks that end within experts
    [DataRow(new[] { 7, 7, 7 }, 1, 64)]               // chunks of one row
    public void EveryRowHasAPlaceOfItsOwn(int[] counts, int chunkRows, int threads)
    {
        var ends = Ends(counts);
        var padded = PaddedRows.Create(ends, chunkRows, threads);
        var (nextRow, nextPlace) = (0, 0);
        var seen = new HashSet<int>();
        foreach (var chunk in padded.Chunks)
        {
            Assert.AreEqual(nextPlace, chunk.Place);
            Assert.IsLessThanOrEqualTo(chunkRows, chunk.Slices.Sum(slice => slice.Rows));
            foreach (var slice in chunk.Slices)
            {
                Assert.AreEqual(nextRow, slice.Row);
                Assert.AreEqual(nextPlace, slice.Place);
                Assert.IsGreaterThan(0, slice.Rows);
                Assert.IsLessThanOrEqualTo(slice.Places, slice.Rows);
                Assert.AreEqual(0, slice.Places % 16);
                Assert.IsTrue(
                    slice.Row >= (slice.Expert == 0 ? 0 : ends[slice.Expert - 1]) && slice.Row + slice.Rows <= ends[slice.Expert],
                    "a slice is of one expert");
                (nextRow, nextPlace) = (slice.Row + slice.Rows, slice.Place + slice.Places);
            }

            var piecePlace = chunk.Place;
            foreach (var piece in chunk.Pieces)
            {
                var slices = chunk.Slices.Where(slice => slice.Expert == piece.Expert).ToArray();
                Assert.AreEqual(piecePlace, piece.Place);
                Assert.AreEqual(slices[0].Place, piece.Place);
                Assert.AreEqual(slices.Sum(slice => slice.Places), piece.Places);
                Assert.AreEqual(seen.Add(piece.Expert), piece.IsFirst);
                piecePlace += piece.Places;
            }

            Assert.AreEqual(piecePlace, chunk.Place + chunk.Places);
        }

        Assert.AreEqual(ends[^1], nextRow);
        Assert.AreEqual(nextPlace, padded.Places);
    }

    [TestMethod]
    public void RowsOfAnyNumberTakeFewHeightsAndLittlePadding()
    {
        var heights = new HashSet<int>();
        for (var rows = 1; rows <= 5000; rows++)
        {
            var padded = PaddedRows.Create([rows], 1 << 20, threads: 2);
            heights.UnionWith(padded.Chunks[0].Slices.Select(slice => slice.Places));
            Assert.IsLessThan(rows + Math.Max(16, rows * 0.0625), padded.Places, $"places for {rows} rows");
        }

        Assert.IsLessThan(50, heights.Count);
    }

    [TestMethod]
    public void FewRowsAreCutForManyThreads()
    {
        Assert.HasCount(4, PaddedRows.Create([1024], 1 << 20, threads: 1).Chunks[0].Slices);
        Assert.HasCount(16, PaddedRows.Create([1024], 1 << 20, threads: 8).Chunks[0].Slices);
        Assert.HasCount(16, PaddedRows.Create([1024], 1 << 20, threads: 100).Chunks[0].Slices, "below 64 rows a product is slower");
    }

    private static int[] Ends(int[] counts)
    {
        var end = 0;
        return [.. counts.Select(count => end += count)];
    }
}

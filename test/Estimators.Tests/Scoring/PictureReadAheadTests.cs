using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring;

/// <summary>While a block of pictures is scored, the next one is read.</summary>
[TestClass]
public sealed class PictureReadAheadTests
{
    private const int BlockSize = 4;

    private static readonly MLContext Ml = new(seed: 1);
    private static readonly List<PictureRow> Pictures = Colours.Pictures(30, seed: 5);
    private static ImageClassificationTransformer model = null!;

    [ClassInitialize]
    public static void Train(TestContext context)
    {
        var options = Colours.Options();
        (options.Epochs, options.ImageHeight, options.ImageWidth, options.PredictionBatchSize) = (1, 8, 8, BlockSize);
        model = (ImageClassificationTransformer)Colours.Trainer(Ml, options).Fit(Colours.WithKeys(Ml, Pictures));
    }

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void EveryRowHasItsOwnScore_AndTheOrderStays()
    {
        var scored = model.Transform(Ml.Data.LoadFromEnumerable(Pictures));
        var expected = Read(scored, "Features", "Id", "Score");   // with the picture itself, rows cannot be read ahead
        var ahead = Read(scored, "Id", "Score");
        CollectionAssert.AreEqual(Enumerable.Range(0, Pictures.Count).ToArray(), ahead.Select(row => row.Id).ToArray());
        for (var i = 0; i < expected.Count; i++)
            CollectionAssert.AreEqual(expected[i].Score, ahead[i].Score, Near, $"row {i}");
        Assert.IsGreaterThan(10, ahead.Select(row => row.Score[0]).Distinct().Count(), "a score that stays behind would be seen");
    }

    [TestMethod]
    public void TheNextBlockIsRead_BeforeItIsAskedFor()
    {
        using var third = new ManualResetEventSlim();
        var read = 0;
        var scored = model.Transform(Ml.Data.LoadFromEnumerable(Pictures.Select(row =>
        {
            if (Interlocked.Increment(ref read) == 3)
                third.Set();
            return row;
        })));
        using (var cursor = scored.GetRowCursor([scored.Schema["Score"]]))
        {
            Assert.IsTrue(cursor.MoveNext());
            Assert.IsTrue(third.Wait(TimeSpan.FromMinutes(1)), "after a block of one row comes one of two");
        }
        Assert.AreEqual(3, read, "no more than one block ahead");
    }

    [TestMethod]
    public void WhatGoesWrongInARow_IsThrownInItsTurn()
    {
        var scored = model.Transform(
            Ml.Data.LoadFromEnumerable(Pictures.Select(row => row.Id == 9 ? throw new IOException("row 9") : row)));
        using var cursor = scored.GetRowCursor([scored.Schema["Id"], scored.Schema["Score"]]);
        for (var i = 0; i < 9; i++)
            Assert.IsTrue(cursor.MoveNext());
        StringAssert.Contains(Assert.ThrowsExactly<IOException>(() => cursor.MoveNext()).Message, "row 9");
    }

    [TestMethod]
    public void ACursorThatIsLeftEarly_StopsReading_AndLeavesNothingBehind()
    {
        var scored = model.Transform(Ml.Data.LoadFromEnumerable(Pictures));
        Read(scored, "Id", "Score");
        var before = LiveTensors.Count();
        for (var rows = 1; rows < 12; rows++)
        {
            using var cursor = scored.GetRowCursor([scored.Schema["Score"]]);
            for (var i = 0; i < rows; i++)
                Assert.IsTrue(cursor.MoveNext());
        }
        Assert.AreEqual(before, TorchSharp.torch.Tensor.TotalCount);
    }

    private static readonly Comparer<float> Near = Comparer<float>.Create((a, b) => Math.Abs(a - b) <= 1e-5f ? 0 : a.CompareTo(b));

    private static List<(int Id, float[] Score)> Read(IDataView scored, params string[] columns)
    {
        using var cursor = scored.GetRowCursor([.. columns.Select(name => scored.Schema[name])]);
        var getId = cursor.GetGetter<int>(scored.Schema["Id"]);
        var getScore = cursor.GetGetter<VBuffer<float>>(scored.Schema["Score"]);
        var rows = new List<(int, float[])>();
        VBuffer<float> score = default;
        while (cursor.MoveNext())
        {
            var id = 0;
            getScore(ref score);
            getId(ref id);
            rows.Add((id, score.DenseValues().ToArray()));
        }
        return rows;
    }
}

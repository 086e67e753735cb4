using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring;

/// <summary>Scores and the other columns must belong to the same row, however the rows are read.</summary>
public abstract class BatchedScoringTests
{
    private const float Tolerance = 1e-5f;   // blocks of different sizes may add up in another order

    private static readonly MLContext Ml = new(seed: 1);
    private static readonly List<ColourRow> Rows = Colours.Rows(300, seed: 9);
    private static ImageClassificationTransformer model = null!;
    private static Dictionary<int, float[]> expected = null!;
    private static Type? trainedFor;

    private protected abstract ImageClassificationOptions Options();

    // Once a class: there is an object for every test, and only it knows its architecture.
    [TestInitialize]
    public void Train()
    {
        if (trainedFor == GetType())
            return;
        var options = Options();
        (options.Epochs, options.PredictionBatchSize) = (1, 16);   // barely trained: scores that differ from row to row
        (model, trainedFor) = (Colours.Trainer(Ml, options).Fit(Colours.WithKeys(Ml, Rows)), GetType());

        var engine = Ml.Model.CreatePredictionEngine<ColourRow, ScoreOnly>(model, new PredictionEngineOptions { OwnsTransformer = false });
        expected = Rows.ToDictionary(row => row.Id, row => engine.Predict(row).Score);
        Assert.AreEqual(Rows.Count, expected.Values.Select(s => s[0]).Distinct().Count(), "scores tell the rows apart");
    }

    [ClassCleanup(InheritanceBehavior.BeforeEachDerivedClass)]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void EverySource_KeepsScoresWithTheirRows()
    {
        var data = Ml.Data.LoadFromEnumerable(Rows);
        Check(data, Rows.Count);
        Check(Ml.Data.ShuffleRows(data, seed: 3, shufflePoolSize: 50), Rows.Count);
        Check(Ml.Data.SkipRows(data, 37), Rows.Count - 37);
        Check(Ml.Data.TakeRows(data, 37), 37);
        Check(Ml.Data.Cache(data), Rows.Count);
        Check(Ml.Data.ShuffleRows(Ml.Data.Cache(data), seed: 4), Rows.Count);
        Check(Ml.Data.FilterByCustomPredicate<ColourRow>(data, row => row.Id is < 100 or >= 200), 100);
        Check(Ml.Data.SkipRows(data, Rows.Count), 0);

        static void Check(IDataView source, int count)
        {
            var scored = Read(model.Transform(source));
            Assert.HasCount(count, scored);
            foreach (var row in scored)
                AssertRow(row);
        }
    }

    [TestMethod]
    public void OrderAndRowIds_PassThrough()
    {
        var data = Ml.Data.ShuffleRows(Ml.Data.LoadFromEnumerable(Rows), seed: 3, shufflePoolSize: 50, shuffleSource: false);
        var scored = model.Transform(data);
        CollectionAssert.AreEqual(RowIds(data, "Id"), RowIds(scored, "Score"));
        CollectionAssert.AreEqual(RowIds(data, "Id"), RowIds(scored, "Id"));
        Assert.AreEqual(data.GetRowCount(), scored.GetRowCount());
        Assert.AreEqual(data.CanShuffle, scored.CanShuffle);
        Assert.IsTrue(model.Transform(Ml.Data.Cache(data)).CanShuffle);
    }

    [TestMethod]
    public void AShuffledCursor_ReadsAnotherOrder()
    {
        var scored = model.Transform(Ml.Data.Cache(Ml.Data.LoadFromEnumerable(Rows)));
        using var cursor = scored.GetRowCursor(Columns(scored, "Id", "Score", "PredictedLabel"), new Random(5));
        var read = ReadCursor(cursor);
        CollectionAssert.AreNotEqual(Rows.Select(r => r.Id).ToArray(), read.Select(r => r.Id).ToArray());
        CollectionAssert.AreEquivalent(Rows.Select(r => r.Id).ToArray(), read.Select(r => r.Id).ToArray());
        read.ForEach(AssertRow);
    }

    [TestMethod]
    public void ParallelCursors_ReadEveryRowOnce()
    {
        var many = Colours.Rows(3000, seed: 9);
        var cached = Ml.Data.Cache(Ml.Data.LoadFromEnumerable(many));
        using (var warm = cached.GetRowCursor(cached.Schema))
        {
            while (warm.MoveNext())
            {
            }
        }

        var scored = model.Transform(cached);
        var cursors = scored.GetRowCursorSet(Columns(scored, "Id", "Score", "PredictedLabel"), 4);
        Assert.IsGreaterThan(1, cursors.Length, "the source gives several cursors");
        var all = cursors.AsParallel().WithDegreeOfParallelism(cursors.Length).SelectMany(cursor =>
        {
            using (cursor)
                return ReadCursor(cursor);
        }).ToList();

        CollectionAssert.AreEquivalent(many.Select(r => r.Id).ToArray(), all.Select(r => r.Id).ToArray());
        foreach (var row in all.Where(r => r.Id < Rows.Count))
            AssertRow(row);
    }

    [TestMethod]
    public void TwoCursorsAtOnce_DoNotDisturbEachOther()
    {
        var scored = model.Transform(Ml.Data.LoadFromEnumerable(Rows));
        var tasks = Enumerable.Range(0, 3).Select(_ => Task.Run(() => Read(scored))).ToArray();
        Task.WaitAll(tasks);
        foreach (var task in tasks)
            task.Result.ForEach(AssertRow);
    }

    [TestMethod]
    public void NothingIsScored_UnlessAScoreIsRead()
    {
        var before = model.Scorer.ForwardCount;
        var scored = model.Transform(Ml.Data.LoadFromEnumerable(Rows));
        _ = scored.GetColumn<int>("Id").ToArray();
        using (var cursor = scored.GetRowCursor(scored.Schema))
        {
            var getScore = cursor.GetGetter<VBuffer<float>>(scored.Schema["Score"]);
            while (cursor.MoveNext())
            {
            }
        }
        Assert.AreEqual(before, model.Scorer.ForwardCount);
    }

    [TestMethod]
    public void BothColumns_ShareTheForwardPassesOfGrowingBlocks()
    {
        var before = model.Scorer.ForwardCount;
        Assert.HasCount(100, Read(model.Transform(Ml.Data.TakeRows(Ml.Data.LoadFromEnumerable(Rows), 100))));
        Assert.AreEqual(10, model.Scorer.ForwardCount - before, "blocks of 1, 2, 4, 8, five of 16, and the last 5");
    }

    [TestMethod]
    public void LookingAtTheFirstRow_ReadsAndScoresOneRow()
    {
        var read = 0;
        var rows = Rows.Select(row =>
        {
            read++;
            return row;
        });
        var before = model.Scorer.ForwardCount;
        var first = Read(Ml.Data.TakeRows(model.Transform(Ml.Data.LoadFromEnumerable(rows)), 1));
        Assert.HasCount(1, first);
        Assert.AreEqual(1, model.Scorer.ForwardCount - before);
        Assert.AreEqual(1, read);
    }

    [TestMethod]
    public void PicturesDownstream_AreReadRowByRow()
    {
        var pictures = Colours.Pictures(30, seed: 5);
        var options = Options();
        (options.Epochs, options.ImageHeight, options.ImageWidth) = (1, 8, 8);
        using var pictureModel = Colours.Trainer(Ml, options).Fit(Colours.WithKeys(Ml, pictures));
        var scored = pictureModel.Transform(Ml.Data.LoadFromEnumerable(pictures));

        var batched = Read(scored);
        using var cursor = scored.GetRowCursor(Columns(scored, "Id", "Features", "Score", "PredictedLabel"));
        var getPicture = cursor.GetGetter<MLImage>(scored.Schema["Features"]);
        var getId = cursor.GetGetter<int>(scored.Schema["Id"]);
        var getScore = cursor.GetGetter<VBuffer<float>>(scored.Schema["Score"]);
        MLImage picture = null!;
        VBuffer<float> score = default;
        var id = 0;
        while (cursor.MoveNext())
        {
            getPicture(ref picture);
            getId(ref id);
            getScore(ref score);
            Assert.AreSame(pictures[id].Features, picture);
            CollectionAssert.AreEqual(batched[id].Score, score.DenseValues().ToArray(), Near);
        }
        Assert.AreEqual(pictures.Count - 1, id);
        Assert.AreEqual(12, picture.Height, "the caller's pictures are still alive");
    }

    [TestMethod]
    public void AMissingImage_ScoresNaN_AndHasNoLabel()
    {
        var rows = Colours.Rows(5, seed: 9);
        rows[3].Features[0] = float.NaN;
        var scored = Read(model.Transform(Ml.Data.LoadFromEnumerable(rows)));
        Assert.IsTrue(scored[3].Score.All(float.IsNaN));
        Assert.AreEqual(0u, scored[3].PredictedLabel);
        AssertRow(scored[2]);
        AssertRow(scored[4]);

        rows = [rows[3]];
        var before = model.Scorer.ForwardCount;
        Assert.IsTrue(Read(model.Transform(Ml.Data.LoadFromEnumerable(rows)))[0].Score.All(float.IsNaN));
        Assert.AreEqual(before, model.Scorer.ForwardCount, "nothing to score");
    }

    [TestMethod]
    public void ScoresOfNaN_HaveNoLabel()
    {
        var rows = Colours.Rows(3, seed: 9);
        Array.Fill(rows[1].Features, float.MaxValue);   // finite, and beyond what the model can add up
        var scored = Read(model.Transform(Ml.Data.LoadFromEnumerable(rows)));
        Assert.IsTrue(scored[1].Score.All(float.IsNaN));
        Assert.AreEqual(0u, scored[1].PredictedLabel);
        AssertRow(scored[2]);
    }

    [TestMethod]
    public void WhatGoesWrongInARow_IsThrownInItsTurn()
    {
        var data = Ml.Data.LoadFromEnumerable(Rows.Select(r => r.Id == 9 ? throw new IOException("row 9") : r));
        using var cursor = model.Transform(data).GetRowCursor(Columns(model.Transform(data), "Score", "Id"));
        for (var i = 0; i < 9; i++)
            Assert.IsTrue(cursor.MoveNext());
        StringAssert.Contains(Assert.ThrowsExactly<IOException>(() => cursor.MoveNext()).Message, "row 9");
    }

    [TestMethod]
    public void GettersOutsideARow_AndInactiveColumns_AreErrors()
    {
        var scored = model.Transform(Ml.Data.LoadFromEnumerable(Rows.Take(2)));
        using var cursor = scored.GetRowCursor(Columns(scored, "Score"));
        Assert.IsFalse(cursor.IsColumnActive(scored.Schema["Id"]));
        Assert.Throws<ArgumentException>(() => cursor.GetGetter<int>(scored.Schema["Id"]));
        Assert.Throws<InvalidOperationException>(() => cursor.GetGetter<float>(scored.Schema["Score"]));

        var getScore = cursor.GetGetter<VBuffer<float>>(scored.Schema["Score"]);
        VBuffer<float> score = default;
        Assert.Throws<InvalidOperationException>(() => getScore(ref score));
        while (cursor.MoveNext())
        {
        }
        Assert.Throws<InvalidOperationException>(() => getScore(ref score));
    }

    [TestMethod]
    public void ADisposedTransformer_SaysSo()
    {
        var options = Options();
        options.Epochs = 1;
        var disposed = Colours.Trainer(Ml, options).Fit(Colours.WithKeys(Ml, Rows.Take(20)));
        var scored = disposed.Transform(Ml.Data.LoadFromEnumerable(Rows));
        disposed.Dispose();
        disposed.Dispose();
        Assert.ThrowsExactly<ObjectDisposedException>(() => Read(scored));
        Assert.ThrowsExactly<ObjectDisposedException>(() => Ml.Model.Save(disposed, null, Stream.Null));
    }

    [TestMethod]
    public void AnotherKindOfColumn_IsRefused()
    {
        var pictures = Ml.Data.LoadFromEnumerable(Colours.Pictures(2));
        StringAssert.Contains(
            Assert.Throws<ArgumentException>(() => model.Transform(pictures)).Message,
            "expected Vector<Single, 3, 8, 8>, got Image<12, 10>");
        StringAssert.Contains(
            Assert.Throws<ArgumentException>(() => model.GetOutputSchema(Ml.Data.LoadFromEnumerable([new { X = 1 }]).Schema)).Message,
            "'Features'");
    }

    [TestMethod]
    public void Scoring_LeavesNoTensorBehind()
    {
        var scored = model.Transform(Ml.Data.LoadFromEnumerable(Rows));
        Read(scored);
        var before = LiveTensors.Count();
        Read(scored);
        Assert.AreEqual(before, TorchSharp.torch.Tensor.TotalCount);
    }

    private static readonly Comparer<float> Near = Comparer<float>.Create((a, b) => Math.Abs(a - b) <= Tolerance ? 0 : a.CompareTo(b));

    private static void AssertRow(Scored row)
    {
        CollectionAssert.AreEqual(expected[row.Id], row.Score, Near, $"row {row.Id}");
        Assert.AreEqual(row.Score.Max(), row.Score[(int)row.PredictedLabel - 1], $"row {row.Id}");
    }

    private static DataViewSchema.Column[] Columns(IDataView view, params string[] names) => [.. names.Select(name => view.Schema[name])];

    private static List<Scored> Read(IDataView scored)
    {
        using var cursor = scored.GetRowCursor(Columns(scored, "Id", "Score", "PredictedLabel"));
        return ReadCursor(cursor);
    }

    private static List<Scored> ReadCursor(DataViewRowCursor cursor)
    {
        var getId = cursor.GetGetter<int>(cursor.Schema["Id"]);
        var getScore = cursor.GetGetter<VBuffer<float>>(cursor.Schema["Score"]);
        var getLabel = cursor.GetGetter<uint>(cursor.Schema["PredictedLabel"]);
        var rows = new List<Scored>();
        VBuffer<float> score = default;
        while (cursor.MoveNext())
        {
            var (id, label) = (0, 0u);
            getScore(ref score);
            getId(ref id);
            getLabel(ref label);
            rows.Add(new Scored(id, score.DenseValues().ToArray(), label));
        }
        return rows;
    }

    private static DataViewRowId[] RowIds(IDataView view, string column)
    {
        var ids = new List<DataViewRowId>();
        using var cursor = view.GetRowCursor([view.Schema[column]]);
        var getId = cursor.GetIdGetter();
        DataViewRowId id = default;
        while (cursor.MoveNext())
        {
            getId(ref id);
            ids.Add(id);
        }
        return [.. ids];
    }

    private sealed record Scored(int Id, float[] Score, uint PredictedLabel);

    private sealed class ScoreOnly
    {
        public float[] Score { get; set; } = [];
    }
}

using System.Collections.Concurrent;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

/// <summary>Several threads read what one reads, in the same order.</summary>
[TestClass]
public sealed class ParallelImageRowsTests
{
    private const int Rows = 300;
    private const int Threads = 4;

    private readonly MLContext ml = new(seed: 1);
    private readonly ConcurrentDictionary<int, bool> threads = [];
    private int? broken;

    [TestMethod]
    public void TheRowsAreTheSame_AndSoIsWhatIsMissing()
    {
        var data = Open();
        using var alone = data.Open();
        using var together = ParallelImageRows.Open(data, Threads);
        Assert.IsInstanceOfType<ParallelImageRows>(together);
        var seen = 0;
        for (; alone.MoveNext(default); seen++)
        {
            Assert.IsTrue(together.MoveNext(default));
            Assert.AreEqual((alone.RowNumber, alone.Current.Label), (together.RowNumber, together.Current.Label));
            Assert.IsTrue(alone.Current.Pixels.Span.SequenceEqual(together.Current.Pixels.Span), $"row {alone.RowNumber}");
        }
        Assert.IsFalse(together.MoveNext(default));
        Assert.IsFalse(together.MoveNext(default), "nor later");
        Assert.AreEqual(alone.MissingLabels, together.MissingLabels);
        Assert.AreEqual(
            (alone.Unreadable.Count, alone.Unreadable.FirstFailure), (together.Unreadable.Count, together.Unreadable.FirstFailure));
        Assert.AreEqual(Rows, seen + alone.MissingLabels + alone.Unreadable.Count);
        Assert.IsGreaterThan(1, threads.Count, "one thread for the reader that is alone, and others");
    }

    [TestMethod]
    public void AFaultOfTheProgram_ComesWhereItHappens()
    {
        var data = Open();
        broken = 100;   // a row that can be read
        using var rows = ParallelImageRows.Open(data, Threads);
        while (rows.RowNumber < 98)
            Assert.IsTrue(rows.MoveNext(default));
        Assert.AreEqual("of the test", Assert.ThrowsExactly<MissingMethodException>(() =>
        {
            while (rows.MoveNext(default))
                Assert.IsLessThan(100, rows.RowNumber);
        }).Message);
    }

    [TestMethod]
    [DataRow(0)]
    [DataRow(3)]
    public void WhoStopsEarly_NeedNotWait(int read)
    {
        using var rows = ParallelImageRows.Open(Open(), Threads);
        for (var i = 0; i < read; i++)
            Assert.IsTrue(rows.MoveNext(default));
        Assert.ThrowsExactly<OperationCanceledException>(() => rows.MoveNext(new CancellationToken(canceled: true)));
    }

    [TestMethod]
    public void WhatCannotBeParted_IsReadByOneThread()
    {
        var view = Colours.WithKeys(ml, Colours.Pictures(20));
        using var rows = ParallelImageRows.Open(Data(view), Threads);
        Assert.IsInstanceOfType<ImageRows>(rows);
        using var one = ParallelImageRows.Open(Open(), threads: 1);
        Assert.IsInstanceOfType<ImageRows>(one);
    }

    private ImageData Open()
    {
        var files = ml.Data.LoadFromEnumerable(Enumerable.Range(0, Rows).Select(id => new FileRow
        {
            Id = id,
            Label = id % 7 == 3 ? null : Colours.Names[id % 4],
            File = id % 11 == 5 ? [1, 2, 3] : id % 13 == 8 ? [] : PictureBytes.Png(1, 1, 8, 2, [[(byte)id, (byte)(id / 256), 9]]),
        }).ToList());
        void Watch(SeenFile row, Checked output)
        {
            threads[Environment.CurrentManagedThreadId] = true;
            output.Whole = row.Id == broken ? throw new MissingMethodException("of the test") : row.File;
        }

        return Data(
            ml.Transforms.Conversion.MapValueToKey("Label")
                .Append(ml.Transforms.CustomMapping<SeenFile, Checked>(Watch, contractName: null))
                .Append(ml.Transforms.LoadPictures("Features", imageFolder: null, "Whole"))
                .Fit(files)
                .Transform(files));
    }

    private static ImageData Data(IDataView view) => new(
        view,
        new ImageColumn("Features", new ImageColumnType(ImageColumnKind.Image, []), new ImageShape(3, 1, 1), false, default),
        new LabelColumn("Label", 4, null));

    private sealed class FileRow
    {
        public int Id { get; set; }

        public string? Label { get; set; }

        public byte[] File { get; set; } = [];
    }

    private sealed class SeenFile
    {
        public int Id { get; set; }

        public byte[] File { get; set; } = [];
    }

    private sealed class Checked
    {
        public byte[] Whole { get; set; } = [];
    }
}

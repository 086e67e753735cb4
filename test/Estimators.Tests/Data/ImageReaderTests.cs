using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Runtime;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

/// <summary>What costs a row its picture, and what ends the reading, in every reader of pictures.</summary>
[TestClass]
public sealed class ImageReaderTests
{
    private static readonly MLContext Ml = new(seed: 1);
    private static readonly string[] Columns = ["Picture", "Floats", "Bytes", "FloatVideo", "ByteVideo", "Folder"];
    private static readonly string Folder = Directory.CreateTempSubdirectory("moe-ml-frames-").FullName;
    private static readonly MLImage Picture = Colours.Pictures(1)[0].Features!;

    private static readonly Exception[] OfOnePicture =
    [
        new FileNotFoundException("no file", "pictures/1.png"),
        new FileNotFoundException("no file"),
        new DirectoryNotFoundException("no folder"),
        new IOException("locked"),
        new EndOfStreamException("cut off"),
        new UnauthorizedAccessException("not allowed"),
        new InvalidDataException("no picture", new OverflowException("a side")),
        new FormatException("no Base64"),
        new NotSupportedException("16 bits"),
        new ArgumentException("Invalid path"),
        new ArgumentNullException("path"),
        new InvalidOperationException("Couldn't resize the image"),
    ];

#pragma warning disable CA2201 // The runtime's own are among those that must get through.
    private static readonly Exception[] OfTheProgram =
    [
        new MissingMethodException("SkiaSharp.SKPixmap.ScalePixels"),
        new MissingFieldException("f"),
        new TypeLoadException("t"),
        new DllNotFoundException("libSkiaSharp"),
        new EntryPointNotFoundException("sk_pixmap"),
        new BadImageFormatException("32 bits"),
        new FileLoadException("another version", "SkiaSharp"),
        new FileNotFoundException("no assembly", "SkiaSharp, Version=3.0.0.0, Culture=neutral, PublicKeyToken=0738eb9f132ed756"),
        new TypeInitializationException("SkiaSharp.SKObject", new DllNotFoundException("libSkiaSharp")),
        new InvalidOperationException("wrapped", new DllNotFoundException("libSkiaSharp")),
        new ArgumentException("wrapped", new AggregateException(new IOException("locked"), new MissingMethodException("m"))),
        new PlatformNotSupportedException("System.Drawing"),
        new NullReferenceException(),
        new IndexOutOfRangeException(),
        new InvalidCastException(),
        new KeyNotFoundException(),
        new ObjectDisposedException("model"),
        new OutOfMemoryException(),
        new OperationCanceledException(),
        new InvalidOperationException("wrapped", new OperationCanceledException()),
    ];
#pragma warning restore CA2201

    public static IEnumerable<(string Column, int Failure)> Unreadable =>
        Columns.SelectMany(column => OfOnePicture.Select((_, failure) => (column, failure)));

    public static IEnumerable<(string Column, int Failure)> Broken =>
        Columns.SelectMany(column => OfTheProgram.Select((_, failure) => (column, failure)));

    [ClassInitialize]
    public static void Write(TestContext _) => Picture.Save(Path.Combine(Folder, "0.png"));

    [ClassCleanup]
    public static void Delete() => Directory.Delete(Folder, recursive: true);

    [TestMethod]
    [DynamicData(nameof(Unreadable))]
    public void WhatSaysThatAPictureIsUnreadable_CostsItsRow(string column, int failure)
    {
        var (reader, read) = Open(column, id => id == 1 ? throw OfOnePicture[failure] : id);
        CollectionAssert.AreEqual(new[] { true, false, true }, read());
        Assert.AreEqual((1L, OfOnePicture[failure].Message), (reader.Unreadable.Count, reader.Unreadable.FirstFailure));
    }

    [TestMethod]
    [DynamicData(nameof(Broken))]
    public void WhatSaysSomethingElse_IsThrownAsItIs(string column, int failure)
    {
        var (reader, read) = Open(column, id => id == 1 ? throw OfTheProgram[failure] : id);
        Assert.AreSame(OfTheProgram[failure], Caught(() => read()));
        Assert.AreEqual(0, reader.Unreadable.Count);
    }

    [TestMethod]
    [DataRow("Floats", 192)]
    [DataRow("Bytes", 192)]
    [DataRow("FloatVideo", 384)]
    [DataRow("ByteVideo", 384)]
    public void AVectorOfAnotherLength_IsAnErrorThatNamesBoth(string column, int wanted)
    {
        foreach (var length in new[] { 1, wanted - 1, wanted + 1 })
        {
            var (reader, read) = Open(column, id => id, id => id == 1 ? length : null);
            var error = Assert.ThrowsExactly<InvalidOperationException>(() => read());
            StringAssert.Contains(error.Message, $"a vector of {length} numbers in column '{column}'");
            StringAssert.Contains(error.Message, $"{wanted}.");
            Assert.AreEqual(0, reader.Unreadable.Count);
        }

        // An array that is null is a missing picture.
        var (empty, readEmpty) = Open(column, id => id, id => id == 1 ? 0 : null);
        CollectionAssert.AreEqual(new[] { true, false, true }, readEmpty());
        Assert.AreEqual(1, empty.Unreadable.Count);
    }

    private static Exception? Caught(Action action)
    {
        try
        {
            action();
            return null;
        }
#pragma warning disable CA1031 // Which one it is, the caller looks at.
        catch (Exception exception)
        {
            return exception;
        }
#pragma warning restore CA1031
    }

    // Three rows, and whether each can be read.
    private static (ImageReader Reader, Func<bool[]> Read) Open(string column, Func<int, int> fail, Func<int, int?>? length = null)
    {
        void Map(IdRow row, AllKinds output)
        {
            fail(row.Id);
            var (image, video) = (length?.Invoke(row.Id) ?? 192, length?.Invoke(row.Id) ?? 384);
            (output.Picture, output.Folder) = (Picture, Folder);
            (output.Floats, output.Bytes, output.FloatVideo, output.ByteVideo) = (
                new float[image], new byte[image], new float[video], new byte[video]);
        }

        var view = Ml.Transforms.CustomMapping<IdRow, AllKinds>(Map, contractName: null).Fit(Rows).Transform(Rows);
        var env = (IHostEnvironment)Ml;
        var found =
            column.Contains("Video", StringComparison.Ordinal) || column == "Folder"
                ? PictureColumn.FindVideos(env, view.Schema, column, frames: 2, new ImageShape(3, 8, 8), default)
                : PictureColumn.FindImages(env, view.Schema, new(column, 3, 8, 8, default));
        // Pictures keep ML.NET from reading on other threads, which would throw at MoveNext.
        var cursor = view.GetRowCursor([view.Schema[column], view.Schema["Picture"]]);
        var reader = found.OpenReader(cursor);
        return (reader, () =>
        {
            using (cursor)
            {
                var (read, pixels) = (new List<bool>(), new byte[found.ByteCount]);
                while (cursor.MoveNext())
                    read.Add(reader.TryRead(pixels));
                return [.. read];
            }
        }
        );
    }

    private static IDataView Rows => Ml.Data.LoadFromEnumerable(Enumerable.Range(0, 3).Select(id => new IdRow { Id = id }));

    private sealed class IdRow
    {
        public int Id { get; set; }
    }

    private sealed class AllKinds
    {
        [Microsoft.ML.Transforms.Image.ImageType(12, 10)]
        public MLImage? Picture { get; set; }

        [VectorType(3, 8, 8)]
        public float[] Floats { get; set; } = [];

        [VectorType(3, 8, 8)]
        public byte[] Bytes { get; set; } = [];

        [VectorType(2, 8, 8, 3)]
        public float[] FloatVideo { get; set; } = [];

        [VectorType(2, 8, 8, 3)]
        public byte[] ByteVideo { get; set; } = [];

        public string Folder { get; set; } = "";
    }
}

using System.Drawing;
using System.Reflection;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Transforms.Image;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

/// <summary>The loader of pictures as a step of ML.NET's pipelines.</summary>
[TestClass]
public sealed class PictureLoaderTests
{
    private readonly MLContext ml = new(seed: 1);
    private readonly string folder = Directory.CreateTempSubdirectory("moe-ml-loader-").FullName;

    // Left black, right transparent; turned a quarter to the right: above black, below the background.
    private readonly byte[] drawing = PictureBytes.Png(
        2, 1, 8, 6, [[0, 0, 0, 255, 0, 0, 0, 0]], ("eXIf", PictureBytes.Exif(6, little: true)));

    [TestCleanup]
    public void Delete() => Directory.Delete(folder, recursive: true);

    [TestMethod]
    public void FilesAndBytes_GiveTheSamePictures_AlsoFromASavedModel()
    {
        File.WriteAllBytes(Path.Combine(folder, "drawing.png"), drawing);
        var rows = ml.Data.LoadFromEnumerable([new Row { Path = "drawing.png", File = drawing }, new Row()]);
        var pipeline = ml.Transforms.LoadPictures("OfFile", folder, "Path")
            .Append(ml.Transforms.LoadPictures(new PictureLoader.Options
            {
                OutputColumnName = "OfBytes",
                InputColumnName = "File",
                Background = Color.FromArgb(10, 20, 30),
                MaxPixels = 2,
                AcceptIncomplete = true,
            }))
            .Append(ml.Transforms.LoadPictures("Path", folder));   // in place of the names
        var model = pipeline.Fit(rows);
        using var zip = new MemoryStream();
        ml.Model.Save(model, rows.Schema, zip);

        foreach (var loader in new[] { model, new MLContext().Model.Load(zip, out _) })
        {
            var loaded = loader.Transform(rows);
            byte[] white = [255, 255, 255];
            foreach (var (column, background) in new[] { ("OfFile", white), ("OfBytes", [10, 20, 30]), ("Path", white) })
            {
                Assert.IsInstanceOfType<ImageDataViewType>(loaded.Schema[column].Type);
                var pixels = new List<byte[]?>();
                using (var cursor = loaded.GetRowCursor([loaded.Schema[column]]))
                {
                    var getter = cursor.GetGetter<MLImage>(loaded.Schema[column]);
                    MLImage? picture = null;
                    while (cursor.MoveNext())
                    {
                        getter(ref picture!);
                        pixels.Add(picture is null ? null : [(byte)picture.Width, (byte)picture.Height, .. picture.Pixels]);
                    }
                }
                byte[] wanted = [1, 2, 0, 0, 0, 255, .. background, 255];
                CollectionAssert.AreEqual(wanted, pixels[0], column);
                Assert.IsNull(pixels[1], "a name or a file that is empty is a missing picture");
            }
        }
        Assert.AreEqual(
            pipeline.GetOutputSchema(Shape(rows)).Single(column => column.Name == "OfFile").ItemType,
            model.GetOutputSchema(rows.Schema)["OfFile"].Type);
    }

    [TestMethod]
    public void MlNetsTransforms_AndPredictionEngines_TakeThePictures()
    {
        File.WriteAllBytes(Path.Combine(folder, "drawing.png"), drawing);
        var rows = ml.Data.LoadFromEnumerable([new Row { Path = "drawing.png", File = drawing }]);
        var model = ml.Transforms.LoadPictures("Image", folder, "Path")
            .Append(ml.Transforms.ResizeImages("Image", 1, 2))
            .Append(ml.Transforms.ExtractPixels("Pixels", "Image"))
            .Fit(rows);
        CollectionAssert.AreEqual(new float[] { 0, 255, 0, 255, 0, 255 }, model.Transform(rows).GetColumn<float[]>("Pixels").Single());
        using var engine = ml.Model.CreatePredictionEngine<Row, Pixels>(model);
        for (var i = 0; i < 2; i++)
            CollectionAssert.AreEqual(new float[] { 0, 255, 0, 255, 0, 255 }, engine.Predict(new() { Path = "drawing.png" }).Values);
    }

    [TestMethod]
    public void AnotherColumn_IsRefused_BeforeAndWithData()
    {
        var rows = ml.Data.LoadFromEnumerable([new Row()]);
        (string Column, string Message)[] cases =
            [("Missing", "Missing"), ("Number", "a text, the name of a file"), ("Floats", "a vector of Byte")];
        foreach (var (column, message) in cases)
        {
            var loader = ml.Transforms.LoadPictures("Image", folder, column);
            StringAssert.Contains(Assert.Throws<ArgumentException>(() => loader.Fit(rows)).Message, message);
            StringAssert.Contains(
                Assert.Throws<ArgumentException>(() => loader.GetOutputSchema(Shape(rows))).Message, message);
        }
    }

    [TestMethod]
    public void OptionsOutOfRange_AreNamed()
    {
        (PictureLoader.Options Options, string Message)[] cases =
        [
            (new() { OutputColumnName = " " }, "OutputColumnName is empty"),
            (new() { InputColumnName = "" }, "InputColumnName is empty"),
            (new() { MaxPixels = 0 }, "MaxPixels is 0"),
            (new() { MaxPixels = 600_000_000 }, "MaxPixels is 600000000"),
            (new() { Background = Color.Transparent }, "Background is Color [Transparent]"),
        ];
        foreach (var (options, message) in cases)
            StringAssert.Contains(Assert.Throws<ArgumentException>(() => ml.Transforms.LoadPictures(options)).Message, message);
    }

    [TestMethod]
    public void PicturesThatCannotBeRead_AreCountedAndNamed()
    {
        using var files = new PictureFiles(60, noImage: 4, empty: 7, noPath: 11, absent: 59);
        var log = new LogMessages(ml);
        var options = Colours.Options();
        (options.ImageHeight, options.ImageWidth) = (8, 8);
        var pipeline = ml.Transforms.LoadPictures("Features", files.Folder, "Path").Append(Colours.Pipeline(ml, options));
        var model = pipeline.Fit(files.Rows(ml));
        var warning = log.TakeWarnings().Single();
        StringAssert.Contains(warning, "Of the training data 56 rows are used; 4 have no readable image in column 'Features' (the first: ");
        StringAssert.Contains(warning, $"{Path.Combine(files.Folder, "4.png")}' is no picture that can be read");

        var scores = model.Transform(files.Rows(ml)).GetColumn<float[]>("Score").ToArray();
        CollectionAssert.AreEqual(
            new[] { 4, 7, 11, 59 }, scores.Index().Where(row => float.IsNaN(row.Item[0])).Select(row => row.Index).ToArray());
        (model as IDisposable)?.Dispose();
    }

    private static SchemaShape Shape(IDataView view) =>
        (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.NonPublic | BindingFlags.Static)!.Invoke(null, [view.Schema])!;

    private sealed class Row
    {
        public string Path { get; set; } = "";

        public byte[] File { get; set; } = [];

        public float Number { get; set; }

        [VectorType(3)]
        public float[] Floats { get; set; } = new float[3];
    }

    private sealed class Pixels
    {
        [ColumnName("Pixels")]
        public float[] Values { get; set; } = [];
    }
}

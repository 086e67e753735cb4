using System.Reflection;
using Estimators.Tests.Generalists;
using Estimators.Tests.LanguageModels;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Transforms;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

/// <summary>
/// A pipeline asks its estimators for their schema before it reads anything: what <c>Fit</c> refuses of a schema,
/// <c>GetOutputSchema</c> refuses too.
/// </summary>
[TestClass]
public sealed class SchemaContractTests
{
    private static readonly MLContext Ml = new(seed: 1);

    [TestMethod]
    [DataRow("colour", "Task", null)]
    [DataRow("colour", "Task", "number")]
    [DataRow("colour", "Label", null)]
    [DataRow("colour", "Label", "number")]
    [DataRow("colour", "Label", "key")]
    [DataRow("colour", "Features", null)]
    [DataRow("colour", "Features", "number")]
    [DataRow("colour", "Features", "text")]
    [DataRow("colour", "Features", "numbers")]
    [DataRow("mood", "Text", null)]
    [DataRow("mood", "Text", "number")]
    [DataRow("mood", "Text", "texts")]
    [DataRow("pair", "SecondText", null)]
    [DataRow("pair", "SecondText", "number")]
    [DataRow("film", "Video", null)]
    [DataRow("film", "Video", "number")]
    [DataRow("film", "Video", "numbers")]
    [DataRow("film", "Video", "text")]
    [DataRow("caption", "Text", null)]
    [DataRow("find", "Text", "number")]
    [DataRow("masked", "Text", null)]
    public void AGeneralist_RefusesAColumn(string task, string column, string? type) =>
        RefusedByBoth(
            Ml.Transforms.UniPerceiverGeneralist(Toys.Options(task)),
            Changed(Toys.View(Ml, Toys.Rows(task, 4, seed: 1)), column, type),
            column);

    [TestMethod]
    [DataRow("colour", "Text,SecondText,Video")]
    [DataRow("mood", "Features,Video,SecondText")]
    [DataRow("masked", "Features,Video,SecondText,Label")]
    [DataRow("film", "Text,SecondText,Features")]
    public void AGeneralist_DoesNotAskForWhatItsTasksDoNotRead(string task, string others)
    {
        var view = Ml
            .Transforms.DropColumns(others.Split(','))
            .Fit(Toys.View(Ml, Toys.Rows(task, 4, seed: 1)))
            .Transform(Toys.View(Ml, Toys.Rows(task, 4, seed: 1)));
        var options = Toys.Options(task);
        options.Epochs = 1;
        var estimator = Ml.Transforms.UniPerceiverGeneralist(options);
        CollectionAssert.AreEqual(
            view.Schema.Select(column => column.Name).ToArray(),
            estimator.GetOutputSchema(Shape(view)).Select(column => column.Name).ToArray());
        using var model = estimator.Fit(view);
        Assert.AreEqual(task, model.Tasks.Single().Name);
    }

    [TestMethod]
    public void AGeneralist_TakesFoldersOfFrames_WhereTheirSizeIsSaid()
    {
        var folders = Changed(Toys.View(Ml, Toys.Rows("film", 4, seed: 1)), "Video", "text");
        var options = Toys.Options("film");
        (options.Channels, options.ImageHeight, options.ImageWidth) = (3, 8, 8);
        Assert.IsTrue(Ml.Transforms.UniPerceiverGeneralist(options).GetOutputSchema(Shape(folders)).Any(column => column.Name == "Video"));
        Assert.IsTrue(
            Ml.Transforms.UniPerceiverGeneralist(Toys.Options("film", "colour"))
                .GetOutputSchema(Shape(folders))
                .Any(column => column.Name == "Video"),
            "as large as the images");
    }

    [TestMethod]
    public void PicturesOfTwoChannels_AreRefused()
    {
        var pictures = Colours.WithKeys(Ml, Colours.Pictures(4));
        var options = Colours.Options();
        options.Channels = 2;
        RefusedByBoth(Colours.Trainer(Ml, options), pictures, "Channels is 2");

        var generalist = Toys.Options("colour");
        generalist.Channels = 2;
        var rows = Ml.Data.LoadFromEnumerable(
            Colours.Pictures(4).Select(row => new TaskPicture { Features = row.Features, Label = row.Label! }));
        RefusedByBoth(Ml.Transforms.UniPerceiverGeneralist(generalist), rows, "Channels is 2");
    }

    [TestMethod]
    [DataRow("Features", null)]
    [DataRow("Features", "number")]
    [DataRow("Features", "text")]
    [DataRow("Label", null)]
    [DataRow("Label", "number")]
    [DataRow("Label", "text")]
    [DataRow("Label", "numbers")]
    public void EveryImageClassifier_RefusesAColumn(string column, string? type)
    {
        foreach (
            var options in new ImageClassificationOptions[]
            {
                Colours.Options(),
                Colours.SparseMlpOptions(),
                Colours.VisionTransformerOptions(),
            }
        )
            RefusedByBoth(Colours.Trainer(Ml, options), Changed(Colours.WithKeys(Ml, Colours.Rows(8)), column, type), column);
    }

    [TestMethod]
    [DataRow(null)]
    [DataRow("number")]
    [DataRow("texts")]
    [DataRow("key")]
    public void ALanguageModel_RefusesItsColumn(string? type) =>
        RefusedByBoth(Ml.Transforms.Text.PeerLanguageModel(Rhymes.Options()), Changed(Rhymes.Data(Ml), "Text", type), "Text");

    private static void RefusedByBoth<T>(IEstimator<T> estimator, IDataView view, string part) where T : class, ITransformer
    {
        StringAssert.Contains(Assert.Throws<ArgumentException>(() => estimator.Fit(view)).Message, part);
        StringAssert.Contains(Assert.Throws<ArgumentException>(() => estimator.GetOutputSchema(Shape(view))).Message, part);
    }

    // The view without a column, or with one of another type in its place.
    private static IDataView Changed(IDataView view, string column, string? type)
    {
        IEstimator<ITransformer> other = type switch
        {
            null => Ml.Transforms.DropColumns(column),
            "number" => Mapped<Number>(column),
            "numbers" => Mapped<Numbers>(column),
            "text" => Mapped<OneText>(column),
            "texts" => Mapped<Texts>(column),
            _ => Mapped<Key>(column),
        };
        return other.Fit(view).Transform(view);
    }

    private static EstimatorChain<ColumnSelectingTransformer> Mapped<T>(string column) where T : class, new() =>
        Ml.Transforms.DropColumns(column)
            .Append(Ml.Transforms.CustomMapping<Nothing, T>((_, _) => { }, contractName: null))
            .Append(Ml.Transforms.CopyColumns(column, "Value"))
            .Append(Ml.Transforms.DropColumns("Value"));

    private static SchemaShape Shape(IDataView view) =>
        (SchemaShape)typeof(SchemaShape).GetMethod("Create", BindingFlags.Static | BindingFlags.NonPublic)!.Invoke(null, [view.Schema])!;

    private sealed class Nothing;

    private sealed class Number
    {
        public float Value { get; set; }
    }

    private sealed class Numbers
    {
        [VectorType(3)]
        public double[] Value { get; set; } = [];
    }

    private sealed class OneText
    {
        public string Value { get; set; } = "";
    }

    private sealed class Texts
    {
        [VectorType(2)]
        public string[] Value { get; set; } = [];
    }

    private sealed class Key
    {
        [KeyType(5)]
        public uint Value { get; set; }
    }

    private sealed class TaskPicture
    {
        public string Task { get; set; } = "colour";

        [Microsoft.ML.Transforms.Image.ImageType(12, 10)]
        public MLImage? Features { get; set; }

        public string Label { get; set; } = "";
    }
}

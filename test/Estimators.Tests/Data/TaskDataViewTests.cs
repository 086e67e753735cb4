using Estimators.Tests.Generalists;
using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.Transforms;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Data;

/// <summary>Data of several tasks in one view (<c>CombineTasks</c>).</summary>
[TestClass]
public sealed class TaskDataViewTests
{
    private static readonly MLContext Ml = new(seed: 1);

    [TestMethod]
    public void CombinedViews_HaveAllColumns_AndLackThoseOfOthers()
    {
        var colours = Ml.Data.LoadFromEnumerable(Colours.Rows(3));
        var texts = Ml.Data.LoadFromEnumerable([new { Text = "sun", Label = "happy" }, new { Text = "rain", Label = "sad" }]);
        var combined = Ml.Data.CombineTasks(("colour", colours), ("mood", texts));

        CollectionAssert.AreEqual(new[] { "colour", "colour", "colour", "mood", "mood" }, combined.GetColumn<string>("Task").ToArray());
        CollectionAssert.AreEqual(new[] { "", "", "", "sun", "rain" }, combined.GetColumn<string>("Text").ToArray());
        CollectionAssert.AreEqual(
            colours.GetColumn<string>("Label").Concat(["happy", "sad"]).ToArray(), combined.GetColumn<string>("Label").ToArray());
        var pixels = combined.GetColumn<float[]>("Features").ToArray();
        CollectionAssert.AreEqual(Colours.Rows(3)[2].Features, pixels[2]);
        Assert.IsTrue(pixels[3].Length == 192 && pixels[3].All(float.IsNaN));
        Assert.AreEqual(colours.Schema["Features"].Type, combined.Schema["Features"].Type);

        // A second pass gives the same, and pictures of another view are missing.
        Assert.AreEqual(
            5,
            Ml.Data.CombineTasks("Which", ("a", texts), ("b", Ml.Data.LoadFromEnumerable(Colours.Pictures(3))))
                .GetColumn<string>("Which")
                .Count());
        var cached = Ml
            .Data.CreateEnumerable<GeneralistRow>(
                Ml.Data.CombineTasks(("colour", colours), ("mood", texts)), reuseRowObject: false, ignoreMissingColumns: true)
            .ToArray();
        Assert.AreEqual(("mood", "rain"), (cached[4].Task, cached[4].Text));
    }

    [TestMethod]
    public void ViewsThatDoNotGoTogether_AreRefused()
    {
        var (numbers, texts) = (Ml.Data.LoadFromEnumerable([new { Text = 1f }]), Ml.Data.LoadFromEnumerable([new { Text = "a" }]));
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("a", numbers), ("b", texts))).Message, "'Text'");
        StringAssert.Contains(Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks("Text", ("b", texts))).Message, "'Text'");
        Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks());
        Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("a", texts), ("a", texts)));
    }

    [TestMethod]
    public void KeysOfOtherNames_AreRefused_WithTheNames()
    {
        var (colours, shapes) = (Keys("red", "blue"), Keys("square", "circle"));
        var message = Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("colour", colours), ("shape", shapes))).Message;
        StringAssert.Contains(
            message, "KeyValues of column 'Label' is [red, blue] in the data of 'colour' and [square, circle] in those of 'shape'");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("a", colours), ("b", Keys("blue", "red")))).Message,
            "[blue, red]");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("a", colours), ("b", Keys(1, 2)))).Message, "[1, 2]");

        var nameless = Ml.Data.LoadFromEnumerable([new NamelessKey()]);
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("a", colours), ("b", nameless))).Message,
            "'Label' have names in the data of 'a' and none in those of 'b'");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("a", nameless), ("b", colours))).Message,
            "names in the data of 'b' and none in those of 'a'");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() =>
                    Ml.Data.CombineTasks(("a", colours), ("b", Ml.Data.LoadFromEnumerable([new { Other = 1f }])), ("c", shapes)))
                .Message,
            "'c'",
            "not only neighbours");
    }

    [TestMethod]
    public void KeysOfTheSameNames_KeepThem()
    {
        var combined = Ml.Data.CombineTasks(
            ("a", Keys("red", "blue")), ("without", Ml.Data.LoadFromEnumerable([new { Other = 1f }])), ("b", Keys("red", "blue")));
        CollectionAssert.AreEqual(new uint[] { 1, 2, 0, 1, 2 }, combined.GetColumn<uint>("Label").ToArray(), "0 stands for a missing key");
        var named = Ml.Transforms.Conversion.MapKeyToValue("Label").Fit(combined).Transform(combined);
        CollectionAssert.AreEqual(new[] { "red", "blue", "", "red", "blue" }, named.GetColumn<string>("Label").ToArray());
    }

    [TestMethod]
    public void SlotNames_AreKept_LeftOut_OrRefused()
    {
        IDataView Pair(string first, string second) =>
            Ml
                .Transforms.Concatenate("Pair", first, second)
                .Append(Ml.Transforms.SelectColumns("Pair"))
                .Fit(Numbers())
                .Transform(Numbers());
        CollectionAssert.AreEqual(
            new[] { "One", "Two" }, SlotsOf(Ml.Data.CombineTasks(("a", Pair("One", "Two")), ("b", Pair("One", "Two")))));

        var message = Assert
            .ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("a", Pair("One", "Two")), ("b", Pair("Two", "One"))))
            .Message;
        StringAssert.Contains(message, "SlotNames of column 'Pair' is [One, Two] in the data of 'a' and [Two, One] in those of 'b'");

        var nameless = Ml.Data.CombineTasks(("a", Pair("One", "Two")), ("b", Ml.Data.LoadFromEnumerable([new Nameless()])));
        Assert.IsFalse(nameless.Schema["Pair"].HasSlotNames(), "names that are not those of all rows are none");

        static IDataView Numbers() => Ml.Data.LoadFromEnumerable([new { One = 1f, Two = 2f }]);

        static string[] SlotsOf(IDataView view)
        {
            VBuffer<ReadOnlyMemory<char>> names = default;
            view.Schema["Pair"].GetSlotNames(ref names);
            return [.. names.DenseValues().Select(name => name.ToString())];
        }
    }

    [TestMethod]
    public void AnnotationsThatDiffer_AreRefused_ButForTheNumbersOfScorers()
    {
        IDataView With(string kind, float value)
        {
            var schema = new DataViewSchema.Annotations.Builder();
            schema.Add(kind, NumberDataViewType.Single, (ref float target) => target = value);
            return new Annotated(Ml.Data.LoadFromEnumerable([new { Number = 1f }]), schema.ToAnnotations());
        }
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => Ml.Data.CombineTasks(("a", With("Scale", 1)), ("b", With("Scale", 2)))).Message,
            "Scale of column 'Number' is '1' in the data of 'a' and '2'");
        var alike = Ml.Data.CombineTasks(("a", With("Scale", 3)), ("b", With("Scale", 3))).Schema["Number"].Annotations;
        var scale = 0f;
        alike.GetValue("Scale", ref scale);
        Assert.AreEqual(3, scale);
        Assert.IsEmpty(
            Ml.Data.CombineTasks(("a", With("ScoreColumnSetId", 1)), ("b", With("ScoreColumnSetId", 2))).Schema["Number"].Annotations.Schema);
    }

    [TestMethod]
    public void NumbersThatAPartLacks_AreNaN_OrZeroWithoutIt()
    {
        var full = Ml.Data.LoadFromEnumerable([new { Single = 1f, Double = 2.0, Integer = 3, Truth = true, Many = new[] { 1f, 2 } }]);
        var combined = Ml.Data.CombineTasks(("full", full), ("empty", Ml.Data.LoadFromEnumerable([new { Other = 5.0 }])));
        CollectionAssert.AreEqual(new[] { 1f, float.NaN }, combined.GetColumn<float>("Single").ToArray());
        CollectionAssert.AreEqual(new[] { 2, double.NaN }, combined.GetColumn<double>("Double").ToArray());
        CollectionAssert.AreEqual(new[] { double.NaN, 5 }, combined.GetColumn<double>("Other").ToArray());
        CollectionAssert.AreEqual(new[] { 3, 0 }, combined.GetColumn<int>("Integer").ToArray());
        CollectionAssert.AreEqual(new[] { true, false }, combined.GetColumn<bool>("Truth").ToArray());
        CollectionAssert.AreEqual(
            new[] { 2, 0 }, combined.GetColumn<float[]>("Many").Select(many => many.Length).ToArray(), "of no known length");
    }

    private static IDataView Keys<T>(params T[] labels)
    {
        var data = Ml.Data.LoadFromEnumerable(labels.Select(label => new Labelled<T> { Label = label }));
        return Ml
            .Transforms.Conversion.MapValueToKey("Label", keyOrdinality: ValueToKeyMappingEstimator.KeyOrdinality.ByOccurrence)
            .Fit(data)
            .Transform(data);
    }

    private sealed class Labelled<T>
    {
        public T? Label { get; set; }
    }

    private sealed class NamelessKey
    {
        [KeyType(2)]
        public uint Label { get; set; } = 1;
    }

    private sealed class Nameless
    {
        [VectorType(2)]
        public float[] Pair { get; set; } = [3, 4];
    }

    // A view whose only column says more about itself.
    private sealed class Annotated(IDataView view, DataViewSchema.Annotations annotations) : IDataView
    {
        public bool CanShuffle => view.CanShuffle;

        public DataViewSchema Schema { get; } = Build(view.Schema[0], annotations);

        public long? GetRowCount() => view.GetRowCount();

        public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
            view.GetRowCursor(view.Schema, rand);

        public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
            view.GetRowCursorSet(view.Schema, n, rand);

        private static DataViewSchema Build(DataViewSchema.Column column, DataViewSchema.Annotations annotations)
        {
            var builder = new DataViewSchema.Builder();
            builder.AddColumn(column.Name, column.Type, annotations);
            return builder.ToSchema();
        }
    }
}

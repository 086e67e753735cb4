// Axes: N = images, C = channels or classes, H = height, W = width, K = experts chosen per token, B = routing operations, E = experts.

using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Scoring;

/// <summary>The load of a model's experts by class, against the model run on one image at a time.</summary>
[TestClass]
public sealed class ExpertLoadTests
{
    private const int Blocks = 3, Experts = 4, ChoicesPerImage = 4 * 2;   // of WideNetConfig.Tiny: 4 patches, 2 experts of each

    private static readonly MLContext Ml = new(seed: 1);
    private static readonly string[] Classes = [.. Colours.Names.Order()];   // in the order of the keys
    private static ImageClassificationTransformer model = null!;

    [ClassInitialize]
    public static void Train(TestContext _) => model = Fit(options => options.PredictionBatchSize = 16);

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void EveryClass_HasTheLoadOfItsOwnImages()
    {
        var rows = Colours.Rows(50, seed: 3);
        rows[4].Label = rows[17].Label = null;
        rows[20].Features[7] = float.NaN;
        var before = model.Scorer.ForwardCount;
        var load = model.GetExpertLoad(Colours.WithKeys(Ml, rows));
        Assert.AreEqual(4, model.Scorer.ForwardCount - before, "blocks of 16: the 49 images that can be read");

        CollectionAssert.AreEqual(Classes, load.Classes.ToArray());
        Assert.AreEqual((2L, 1L), (load.UnlabelledImages, load.UnreadableImages));
        Assert.HasCount(Blocks, load.ByClass);
        rows.RemoveAt(20);
        for (var c = 0; c < Classes.Length; c++)
        {
            var members = rows.Where(row => row.Label == Classes[c]).ToArray();
            Assert.AreEqual(members.Length, load.Images[c]);
            AssertLoad(members, [.. load.ByClass.Select(operation => operation[c])]);
        }
        AssertLoad([.. rows.Where(row => row.Label is null)], load.Unlabelled);
        AssertLoad(rows, load.Total);
    }

    [TestMethod]
    public void Labels_AreToldByTheirValues_NotByTheirKeys()
    {
        var rows = Colours.Rows(40, seed: 3);
        var expected = model.GetExpertLoad(Colours.WithKeys(Ml, rows));

        var data = Ml.Data.LoadFromEnumerable(rows);
        var byOccurrence = Ml.Transforms.Conversion.MapValueToKey("Label").Fit(data).Transform(data);
        VBuffer<ReadOnlyMemory<char>> keys = default;
        byOccurrence.Schema["Label"].GetKeyValues(ref keys);
        CollectionAssert.AreNotEqual(Classes, keys.DenseValues().Select(key => key.ToString()).ToArray());
        AssertSame(expected, model.GetExpertLoad(byOccurrence));

        rows.Where(row => row.Label == "green").ToList().ForEach(row => row.Label = "purple");
        var unknown = model.GetExpertLoad(Colours.WithKeys(Ml, rows));
        Assert.AreEqual((0L, expected.Images[1]), (unknown.Images[1], unknown.UnlabelledImages), "a class that the model does not have");
        for (var block = 0; block < Blocks; block++)
            CollectionAssert.AreEqual(expected.ByClass[block][1].Counts.ToArray(), unknown.Unlabelled[block].Counts.ToArray());
    }

    [TestMethod]
    public void WithoutALabelColumn_AllImagesAreUnlabelled()
    {
        var rows = Colours.Rows(20, seed: 3);
        var load = model.GetExpertLoad(
            Ml.Transforms.DropColumns("Label").Fit(Ml.Data.LoadFromEnumerable(rows)).Transform(Ml.Data.LoadFromEnumerable(rows)));
        Assert.AreEqual((20L, 0L), (load.UnlabelledImages, load.Images.Sum()));
        AssertLoad(rows, load.Unlabelled);
        Assert.IsTrue(load.ByClass.All(operation => operation.All(c => c.Total == 0)));
    }

    [TestMethod]
    public void KeysWithoutNames_AreTakenAsTheyAre_WhereBothHaveNone()
    {
        using var unnamed = Ml.MulticlassClassification.Trainers.WideNetImageClassifier(Options(_ => { })).Fit(Keyed(Colours.Rows(40), 4));
        var rows = Colours.Rows(20, seed: 3);
        var load = unnamed.GetExpertLoad(Keyed(rows, 4));
        CollectionAssert.AreEqual(new[] { "1", "2", "3", "4" }, load.Classes.ToArray());
        CollectionAssert.AreEqual(Classes.Select(name => (long)rows.Count(row => row.Label == name)).ToArray(), load.Images.ToArray());

        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => unnamed.GetExpertLoad(Keyed(rows, 5))).Message,
            "has 5 classes and the model 4, neither with names");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => unnamed.GetExpertLoad(Colours.WithKeys(Ml, rows))).Message,
            "Only the classes of column 'Label' have names");
        StringAssert.Contains(
            Assert.ThrowsExactly<ArgumentException>(() => model.GetExpertLoad(Keyed(rows, 4))).Message,
            "Only the model's classes have names");
    }

    [TestMethod]
    public void BlocksThatRouteTogether_AreOneOperation_AndADenseModelHasNone()
    {
        var data = Colours.WithKeys(Ml, Colours.Rows(20, seed: 3));
        using var grouped = Fit(options => options.Alter(a => a with { Blocks = 4, RoutingGroups = 2 }));
        Assert.HasCount(2, grouped.GetExpertLoad(data).ByClass);

        using var dense = Fit(options => options.Alter(a => a with { Experts = 0, FeedForwardWidth = 32 }));
        var load = dense.GetExpertLoad(data);
        Assert.HasCount(0, load.ByClass);
        Assert.HasCount(0, load.Total);
        Assert.AreEqual(20, load.Images.Sum());
    }

    [TestMethod]
    public void PatchesThatFindNoPlace_AreCountedApart()
    {
        // A factor of 1 leaves each expert room for an even share and no more; a model that drops in evaluation too is made by hand.
        var config = Microsoft.ML.MoE.Models.WideNetConfig.Tiny with { EvaluationCapacity = new() { Factor = 1 } };
        using var tight = Ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(Options(options => options.PredictionBatchSize = 20, config))
            .Fit(Colours.WithKeys(Ml, Colours.Rows(40)));
        var rows = Colours.Rows(20, seed: 3);
        var load = tight.GetExpertLoad(Colours.WithKeys(Ml, rows));

        using var scope = torch.NewDisposeScope();
        tight.Scorer.Use(network =>
        {
            var routing = network.forward(Images(tight, rows)).Routing;
            for (var block = 0; block < Blocks; block++)
            {
                Assert.AreEqual(routing[block].DroppedCount.ToInt64(), load.Total[block].Dropped);
                Assert.AreEqual(rows.Count * ChoicesPerImage, load.Total[block].Total, "kept and dropped alike");
            }
        });
        Assert.IsGreaterThan(0, load.Total.Sum(operation => operation.Dropped));
        Assert.IsGreaterThan(1, load.ByClass[0].Count(c => c.Dropped > 0), "of several classes");
    }

    [TestMethod]
    public void ALoadedModel_CountsTheSame()
    {
        using var zip = new MemoryStream();
        Ml.Model.Save(model, null, zip);
        zip.Position = 0;
        using var loaded = (ImageClassificationTransformer)Ml.Model.Load(zip, out _);
        var data = Colours.WithKeys(Ml, Colours.Rows(30, seed: 3));
        AssertSame(model.GetExpertLoad(data), loaded.GetExpertLoad(data));
    }

    [TestMethod]
    public void DataWithoutImages_AndCancellation_AreErrors()
    {
        var rows = Colours.Rows(3);
        Array.Fill(rows[0].Features, float.NaN);
        StringAssert.Contains(
            Assert.ThrowsExactly<InvalidOperationException>(() => model.GetExpertLoad(Colours.WithKeys(Ml, rows.Take(1)))).Message,
            "no image: of the rows 1 have no readable image");
        StringAssert.Contains(
            Assert
                .ThrowsExactly<InvalidOperationException>(() => model.GetExpertLoad(Ml.Data.SkipRows(Colours.WithKeys(Ml, rows), 3)))
                .Message,
            "no rows");
        StringAssert.Contains(
            Assert.Throws<ArgumentException>(() => model.GetExpertLoad(Ml.Data.LoadFromEnumerable(rows))).Message, "MapValueToKey");
        Assert.ThrowsExactly<OperationCanceledException>(() =>
            model.GetExpertLoad(Colours.WithKeys(Ml, Colours.Rows(30)), new CancellationToken(canceled: true)));
    }

    [TestMethod]
    public void Counting_LeavesNoTensorBehind()
    {
        var data = Colours.WithKeys(Ml, Colours.Rows(40));
        model.GetExpertLoad(data);
        var before = LiveTensors.Count();
        model.GetExpertLoad(data);
        Assert.AreEqual(before, torch.Tensor.TotalCount);
    }

    // What the network itself says, one image at a time.
    private static void AssertLoad(IReadOnlyList<ColourRow> rows, IReadOnlyList<Microsoft.ML.MoE.Routing.ExpertLoad> found)
    {
        var wanted_BE = new long[Blocks, Experts];
        using var scope = torch.NewDisposeScope();
        model.Scorer.Use(network =>
        {
            foreach (var row in rows)
            {
                var routing = network.forward(Images(model, [row])).Routing;
                for (var block = 0; block < Blocks; block++)
                {
                    foreach (var expert in routing[block].ExpertIds_TK.data<long>())
                        wanted_BE[block, expert]++;
                }
            }
        });

        Assert.HasCount(Blocks, found);
        for (var block = 0; block < Blocks; block++)
        {
            CollectionAssert.AreEqual(
                Enumerable.Range(0, Experts).Select(expert => wanted_BE[block, expert]).ToArray(),
                found[block].Counts.ToArray(),
                $"block {block}");
            Assert.AreEqual(rows.Count * ChoicesPerImage, found[block].Total);
            Assert.AreEqual(0, found[block].Dropped);
        }
    }

    private static void AssertSame(ExpertLoadByClass wanted, ExpertLoadByClass found)
    {
        CollectionAssert.AreEqual(wanted.Classes.ToArray(), found.Classes.ToArray());
        CollectionAssert.AreEqual(wanted.Images.ToArray(), found.Images.ToArray());
        CollectionAssert.AreEqual(
            wanted.ByClass.SelectMany(operation => operation).SelectMany(load => load.Counts).ToArray(),
            found.ByClass.SelectMany(operation => operation).SelectMany(load => load.Counts).ToArray());
    }

    private static torch.Tensor Images(ImageClassificationTransformer owner, List<ColourRow> rows)
    {
        using var numbers_NCHW = torch.tensor(rows.SelectMany(row => row.Features).ToArray()).view(rows.Count, 3, 8, 8);
        return owner.Scorer.Normalization.Apply(numbers_NCHW, torch.CPU);
    }

    private static WideNetImageClassifier.Options Options(
        Action<WideNetImageClassifier.Options> change, Microsoft.ML.MoE.Models.WideNetConfig? config = null)
    {
        var options = config is null
            ? Colours.Options()
            : new WideNetImageClassifier.Options
            {
                Architecture = config,
                PatchSize = config.PatchSize,
                BatchSize = 16,
                Seed = 7,
                Precision = Microsoft.ML.MoE.Runtime.Precision.Float32,
            };
        options.Epochs = 1;
        change(options);
        return options;
    }

    private static ImageClassificationTransformer Fit(Action<WideNetImageClassifier.Options> change) =>
        Ml.MulticlassClassification.Trainers.WideNetImageClassifier(Options(change)).Fit(Colours.WithKeys(Ml, Colours.Rows(60)));

    // Labels whose keys have no names. ML.NET counts the keys of objects from 0, those of rows from 1.
    private static IDataView Keyed(IEnumerable<ColourRow> rows, int count)
    {
        var definition = SchemaDefinition.Create(typeof(KeyedRow));
        definition["Label"].ColumnType = new KeyDataViewType(typeof(uint), count);
        return Ml.Data.LoadFromEnumerable(
            rows.Select(row => new KeyedRow { Features = row.Features, Label = (uint)Array.IndexOf(Classes, row.Label) }), definition);
    }

    private sealed class KeyedRow
    {
        [VectorType(3, 8, 8)]
        public float[] Features { get; set; } = [];

        public uint Label { get; set; }
    }
}

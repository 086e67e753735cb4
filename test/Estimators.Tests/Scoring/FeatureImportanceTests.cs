using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Scoring;

/// <summary>ML.NET's permutation feature importance on pixels: one of them decides the class, one is always the same.</summary>
[TestClass]
public sealed class FeatureImportanceTests
{
    private const int Side = 4, Pixels = Side * Side, Telling = 5, Constant = 10;

    private static readonly MLContext Ml = new(seed: 1);
    private static readonly IDataView Data = Load(300);
    private static TransformerChain<ImageClassificationTransformer> model = null!;

    [ClassInitialize]
    public static void Train(TestContext _)
    {
        var options = new WideNetImageClassifier.Options
        {
            Architecture = WideNetConfig.Tiny,
            PatchSize = 2,
            Epochs = 15,
            BatchSize = 16,
            LearningRate = 1e-2,
            Seed = 7,
            Precision = Microsoft.ML.MoE.Runtime.Precision.Float32,
        };
        model = Ml
            .Transforms.Conversion.MapValueToKey("Label")
            .Append(Ml.MulticlassClassification.Trainers.WideNetImageClassifier(options))
            .Fit(Data);
    }

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void ATellingPixel_OutranksAConstantOne()
    {
        var importance = Ml
            .MulticlassClassification.PermutationFeatureImportance(model.LastTransformer, model.Transform(Data))
            .Select(statistics => statistics.MicroAccuracy.Mean)
            .ToArray();
        AssertImportance(importance);
    }

    [TestMethod]
    public void ALoadedPipeline_GivesTheSameByName()
    {
        using var zip = new MemoryStream();
        Ml.Model.Save(model, Data.Schema, zip);
        zip.Position = 0;
        var loaded = Ml.Model.Load(zip, out _);
        var importance = new MLContext(seed: 1).MulticlassClassification.PermutationFeatureImportance(loaded, loaded.Transform(Data));
        AssertImportance([.. Enumerable.Range(0, Pixels).Select(pixel => importance[Name(pixel)].MicroAccuracy.Mean)]);
        (loaded as IDisposable)?.Dispose();
    }

    private static void AssertImportance(double[] changes)
    {
        Assert.HasCount(Pixels, changes);
        Assert.AreEqual(0, changes[Constant], "nothing changes where all values are the same");
        Assert.IsLessThan(-0.3, changes[Telling], "the accuracy falls to about one half");
        for (var pixel = 0; pixel < Pixels; pixel++)
        {
            if (pixel != Telling)
                Assert.IsGreaterThan(-0.1, changes[pixel], $"pixel {pixel}");
        }
    }

    private static IDataView Load(int count)
    {
        var random = new Random(1);
        var rows = new List<PixelRow>();
        for (var i = 0; i < count; i++)
        {
            var label = random.Next(2);
            var pixels = new float[Pixels];
            for (var pixel = 0; pixel < Pixels; pixel++)
                pixels[pixel] = random.Next(256);
            pixels[Telling] = 200 * label;
            pixels[Constant] = 77;
            rows.Add(new PixelRow { Features = pixels, Label = label == 0 ? "dark" : "bright" });
        }

        // The overload that takes any model wants names for the pixels.
        var definition = SchemaDefinition.Create(typeof(PixelRow));
        var names = new VBuffer<ReadOnlyMemory<char>>(Pixels, [.. Enumerable.Range(0, Pixels).Select(pixel => Name(pixel).AsMemory())]);
        definition["Features"].AddAnnotation("SlotNames", names, new VectorDataViewType(TextDataViewType.Instance, Pixels));
        return Ml.Data.LoadFromEnumerable(rows, definition);
    }

    private static string Name(int pixel) => $"row {pixel / Side}, column {pixel % Side}";

    private sealed class PixelRow
    {
        [VectorType(1, Side, Side)]
        public float[] Features { get; set; } = [];

        public string Label { get; set; } = "";
    }
}

using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Tests.Shared;
using Microsoft.VisualStudio.TestTools.UnitTesting;
using TorchSharp;

namespace Estimators.Tests.Scoring;

/// <summary>The column with the pooled vector, against what the network itself returns, and as features of a stock trainer.</summary>
[TestClass]
public sealed class EmbeddingTests
{
    private const int Width = 16;   // of the tiny models

    private static readonly MLContext Ml = new(seed: 1);
    private static readonly List<ColourRow> Rows = Colours.Rows(60, seed: 9);
    private static ImageClassificationTransformer model = null!;

    [ClassInitialize]
    public static void Train(TestContext _) =>
        model = Ml.MulticlassClassification.Trainers.WideNetImageClassifier(Options()).Fit(Colours.WithKeys(Ml, Rows));

    [ClassCleanup]
    public static void Free() => model.Dispose();

    [TestMethod]
    public void EachRow_HasTheVectorThatItsClassesAreReadFrom()
    {
        AssertEmbeddings(model);

        // With the linear layer and tanh between pooling and classes, and with a class token in place of a mean.
        using var represented = Ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(Options(WideNetConfig.Tiny with { Representation = true }))
            .Fit(Colours.WithKeys(Ml, Rows));
        AssertEmbeddings(represented);
        Assert.IsTrue(Embeddings(represented, Rows).SelectMany(e => e).All(value => Math.Abs(value) <= 1), "values of a tanh");
        var vit = new VisionTransformerImageClassifier.Options
        {
            Architecture = VisionTransformerConfig.Tiny,
            PatchSize = 4,
            Epochs = 1,
            Seed = 7,
            EmbeddingColumnName = "Embedding",
            Precision = Microsoft.ML.MoE.Runtime.Precision.Float32,
        };
        using var classToken = Ml.MulticlassClassification.Trainers.VisionTransformerImageClassifier(vit).Fit(Colours.WithKeys(Ml, Rows));
        AssertEmbeddings(classToken);
    }

    [TestMethod]
    public void AllColumns_ShareOneForwardPassOfABlock()
    {
        var scored = model.Transform(Ml.Data.LoadFromEnumerable(Rows));
        var before = model.Scorer.ForwardCount;
        var count = 0;
        foreach (var row in Ml.Data.CreateEnumerable<Embedded>(scored, reuseRowObject: false, ignoreMissingColumns: true))
        {
            Assert.AreEqual(row.Score.Max(), row.Score[(int)row.PredictedLabel - 1], "the columns belong to the same row");
            Assert.HasCount(Width, row.Embedding);
            count++;
        }
        Assert.AreEqual(Rows.Count, count);
        Assert.AreEqual(7, model.Scorer.ForwardCount - before, "blocks of 1, 2, 4, 8, two of 16, and the last 13");

        before = model.Scorer.ForwardCount;
        Assert.HasCount(Rows.Count, scored.GetColumn<float[]>("Embedding").ToArray(), "alone");
        Assert.AreEqual(7, model.Scorer.ForwardCount - before);
    }

    [TestMethod]
    public void SingleRows_HaveTheSameVector()
    {
        var blocks = Embeddings(model, Rows);
        var engine = Ml.Model.CreatePredictionEngine<ColourRow, Embedded>(model, new PredictionEngineOptions { OwnsTransformer = false });
        for (var i = 0; i < 10; i++)
            CollectionAssert.AreEqual(blocks[i], engine.Predict(Rows[i]).Embedding, Near);
    }

    [TestMethod]
    public void AMissingImage_HasAVectorOfNaN()
    {
        var rows = Colours.Rows(3, seed: 9);
        rows[1].Features[0] = float.NaN;
        var found = Embeddings(model, rows);
        Assert.IsTrue(found[1].All(float.IsNaN));
        Assert.IsTrue(found[0].Concat(found[2]).All(float.IsFinite));
        Assert.HasCount(Width, found[1]);
    }

    [TestMethod]
    public void TheSchema_IsWhatTheEstimatorPromised_AndSurvivesSaving()
    {
        var data = Colours.WithKeys(Ml, Rows);
        var estimator = Ml.MulticlassClassification.Trainers.WideNetImageClassifier(Options());
        var shape = (SchemaShape)
            typeof(SchemaShape)
                .GetMethod("Create", System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic)!
                .Invoke(null, [data.Schema])!;
        var promised = estimator.GetOutputSchema(shape).Single(column => column.Name == "Embedding");
        Assert.AreEqual(
            (SchemaShape.Column.VectorKind.Vector, NumberDataViewType.Single, false), (promised.Kind, promised.ItemType, promised.IsKey));
        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, Width), model.GetOutputSchema(data.Schema)["Embedding"].Type);

        using var zip = new MemoryStream();
        Ml.Model.Save(model, data.Schema, zip);
        zip.Position = 0;
        using var loaded = (ImageClassificationTransformer)Ml.Model.Load(zip, out _);
        Assert.AreEqual("Embedding", loaded.EmbeddingColumnName);
        Assert.AreEqual(model.GetOutputSchema(data.Schema).ToString(), loaded.GetOutputSchema(data.Schema).ToString());
        CollectionAssert.AreEqual(
            Embeddings(model, Rows).SelectMany(e => e).ToArray(), Embeddings(loaded, Rows).SelectMany(e => e).ToArray());
    }

    [TestMethod]
    public void WithoutAName_ThereIsNoSuchColumn()
    {
        using var plain = Ml
            .MulticlassClassification.Trainers.WideNetImageClassifier(Options(column: null))
            .Fit(Colours.WithKeys(Ml, Rows));
        Assert.IsNull(plain.EmbeddingColumnName);
        var input = Ml.Data.LoadFromEnumerable(Rows).Schema;
        CollectionAssert.AreEqual(
            new[] { "PredictedLabel", "Score" }, plain.GetOutputSchema(input).Skip(input.Count).Select(column => column.Name).ToArray());
    }

    [TestMethod]
    [DataRow("Score", "ScoreColumnName and EmbeddingColumnName are both 'Score'")]
    [DataRow("PredictedLabel", "PredictedLabelColumnName and EmbeddingColumnName are both 'PredictedLabel'")]
    [DataRow(" ", "EmbeddingColumnName is empty")]
    public void ANameThatCannotBe_IsAnError(string name, string message) =>
        StringAssert.Contains(
            Assert
                .ThrowsExactly<ArgumentException>(() => Ml.MulticlassClassification.Trainers.WideNetImageClassifier(Options(column: name)))
                .Message,
            message);

    [TestMethod]
    public void AStockTrainer_LearnsAnotherTaskFromTheVectors()
    {
        // The network has learnt four colours; whether there is red in an image is not among its classes.
        var train = Ml.Data.LoadFromEnumerable(WithRed(Colours.Rows(200)));
        var test = Ml.Data.LoadFromEnumerable(WithRed(Colours.Rows(100, seed: 2)));
        var options = Options();
        options.Epochs = 4;
        using var trained = Ml.Transforms.Conversion.MapValueToKey("Label")
            .Append(Ml.MulticlassClassification.Trainers.WideNetImageClassifier(options))
            .Append(Ml.BinaryClassification.Trainers.LbfgsLogisticRegression("Red", "Embedding")).Fit(train);
        Assert.IsGreaterThan(0.95, Ml.BinaryClassification.Evaluate(trained.Transform(test), "Red").Accuracy);

        using var zip = new MemoryStream();
        Ml.Model.Save(trained, train.Schema, zip);
        zip.Position = 0;
        var loaded = Ml.Model.Load(zip, out _);
        CollectionAssert.AreEqual(
            trained.Transform(test).GetColumn<float>("Probability").ToArray(),
            loaded.Transform(test).GetColumn<float>("Probability").ToArray());
        (loaded as IDisposable)?.Dispose();
    }

    [TestMethod]
    public void Scoring_LeavesNoTensorBehind()
    {
        Embeddings(model, Rows);
        var before = LiveTensors.Count();
        Embeddings(model, Rows);
        Assert.AreEqual(before, torch.Tensor.TotalCount);
    }

    private static readonly Comparer<float> Near = Comparer<float>.Create((a, b) => Math.Abs(a - b) <= 1e-5f ? 0 : a.CompareTo(b));

    private static void AssertEmbeddings(ImageClassificationTransformer transformer)
    {
        using var scope = torch.NewDisposeScope();
        var images_NCHW = transformer.Scorer.Normalization.Apply(
            torch.tensor(Rows.SelectMany(row => row.Features).ToArray()).view(Rows.Count, 3, 8, 8), torch.CPU);
        using var noGrad = torch.no_grad();
        var wanted = transformer.Model.call(images_NCHW).Features_ND.data<float>().ToArray();
        var found = Embeddings(transformer, Rows);
        CollectionAssert.AreEqual(wanted, found.SelectMany(e => e).ToArray(), Near);
        Assert.AreEqual(Rows.Count, found.Select(e => e[0]).Distinct().Count(), "they tell the rows apart");
    }

    private static float[][] Embeddings(ImageClassificationTransformer transformer, IEnumerable<ColourRow> rows) =>
        [.. transformer.Transform(Ml.Data.LoadFromEnumerable(rows)).GetColumn<float[]>("Embedding")];

    private static WideNetImageClassifier.Options Options(WideNetConfig? config = null, string? column = "Embedding") =>
        new()
        {
            Architecture = config ?? WideNetConfig.Tiny,
            PatchSize = 4,
            Epochs = 1,
            BatchSize = 16,
            LearningRate = 5e-3,
            PredictionBatchSize = 16,
            Seed = 7,
            Precision = Microsoft.ML.MoE.Runtime.Precision.Float32,
            EmbeddingColumnName = column,
        };

    private static IEnumerable<RedRow> WithRed(IEnumerable<ColourRow> rows) =>
        rows.Select(row => new RedRow
        {
            Features = row.Features,
            Label = row.Label,
            Red = row.Label is "red" or "white",
        });

    private sealed class Embedded
    {
        public float[] Score { get; set; } = [];

        public uint PredictedLabel { get; set; }

        public float[] Embedding { get; set; } = [];
    }

    private sealed class RedRow
    {
        [VectorType(3, 8, 8)]
        public float[] Features { get; set; } = [];

        public string? Label { get; set; }

        public bool Red { get; set; }
    }
}

using Estimators.Tests.Support;
using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.VisualStudio.TestTools.UnitTesting;

namespace Estimators.Tests.Classification;

/// <summary>An estimator among ML.NET's own components.</summary>
public abstract class PipelineTests
{
    private protected abstract ImageClassificationOptions Options();

    private protected abstract ImageClassifierEstimator Simple(
        MLContext ml, string label, string feature, string score, string predictedLabel);

    [TestMethod]
    public void Vectors_TrainAndEvaluate()
    {
        var ml = new MLContext(seed: 1);
        var data = ml.Data.LoadFromEnumerable(Colours.Rows(200));
        using var model = Colours.Pipeline(ml, Options()).Fit(data);

        var metrics = ml.MulticlassClassification.Evaluate(model.Transform(ml.Data.LoadFromEnumerable(Colours.Rows(100, seed: 2))));
        Assert.IsGreaterThan(0.95, metrics.MicroAccuracy);
        Assert.IsLessThan(0.5, metrics.LogLoss, "log-loss wants probabilities");
        Assert.HasCount(4, metrics.PerClassLogLoss);
        CollectionAssert.AreEqual(Colours.Names.Order().ToArray(), ClassNames(metrics));
    }

    [TestMethod]
    public void Pictures_AreResizedAndLearned()
    {
        var ml = new MLContext(seed: 1);
        var options = Options();
        (options.ImageHeight, options.ImageWidth) = (8, 8);   // from 12 × 10
        var data = ml.Data.LoadFromEnumerable(Colours.Pictures(200));
        using var model = Colours.Pipeline(ml, options).Fit(data);

        Assert.IsGreaterThan(
            0.95,
            ml.MulticlassClassification.Evaluate(model.Transform(ml.Data.LoadFromEnumerable(Colours.Pictures(100, seed: 2)))).MicroAccuracy);
    }

    [TestMethod]
    public void PicturesThroughExtractPixels_AreLearned_InterleavedOrNot()
    {
        var planar = TrainThroughExtractPixels(interleave: false);
        var interleaved = TrainThroughExtractPixels(interleave: true);
        CollectionAssert.AreEqual(planar, interleaved, Comparer(1e-5f), "the same numbers in another order are the same pictures");
    }

    [TestMethod]
    public void CrossValidate_TrainsOneModelAFold()
    {
        var ml = new MLContext(seed: 1);
        var data = ml.Data.LoadFromEnumerable(Colours.Rows(160));
        var results = ml.MulticlassClassification.CrossValidate(data, Colours.Pipeline(ml, Options()), numberOfFolds: 2);

        Assert.HasCount(2, results);
        foreach (var result in results)
        {
            Assert.IsGreaterThan(0.8, result.Metrics.MicroAccuracy);
            (result.Model as IDisposable)?.Dispose();
        }
    }

    [TestMethod]
    public void PredictionEngine_AgreesWithTransform()
    {
        var ml = new MLContext(seed: 1);
        var model = Colours.Pipeline(ml, Options()).Fit(ml.Data.LoadFromEnumerable(Colours.Rows(120)));
        var rows = Colours.Rows(40, seed: 3);
        var batched = ml
            .Data.CreateEnumerable<Prediction>(model.Transform(ml.Data.LoadFromEnumerable(rows)), reuseRowObject: false)
            .ToArray();

        using var engine = ml.Model.CreatePredictionEngine<ColourRow, Prediction>(model);
        for (var i = 0; i < rows.Count; i++)
        {
            var single = engine.Predict(rows[i]);
            Assert.AreEqual(batched[i].PredictedLabel, single.PredictedLabel);
            CollectionAssert.AreEqual(batched[i].Score, single.Score, Comparer(1e-5f));
            Assert.AreEqual(1, single.Score.Sum(), 1e-5);
        }
    }

    [TestMethod]
    public void OutputSchema_IsWhatTheEstimatorPromised()
    {
        var ml = new MLContext(seed: 1);
        var data = Colours.WithKeys(ml, Colours.Rows(60));
        var options = Options();
        options.Epochs = 1;
        var estimator = Colours.Trainer(ml, options);
        var promised = estimator.GetOutputSchema(SchemaShapeOf(data.Schema)).ToDictionary(c => c.Name);
        using var model = estimator.Fit(data);
        var schema = model.GetOutputSchema(data.Schema);

        Assert.AreEqual(schema.ToString(), model.Transform(data).Schema.ToString());
        foreach (var (name, column) in promised)
            Assert.AreEqual(
                column.ItemType,
                (schema[name].Type as VectorDataViewType)?.ItemType
                    ?? (schema[name].Type is KeyDataViewType ? NumberDataViewType.UInt32 : schema[name].Type),
                name);
        foreach (var name in new[] { "Score", "PredictedLabel" })
            CollectionAssert.AreEquivalent(
                promised[name].Annotations.Select(a => a.Name).ToArray(),
                schema[name].Annotations.Schema.Select(a => a.Name).ToArray(),
                name);
    }

    [TestMethod]
    public void Annotations_AreThoseOfAMulticlassScorer()
    {
        var ml = new MLContext(seed: 1);
        var data = Colours.WithKeys(ml, Colours.Rows(60));
        var options = Options();
        options.Epochs = 1;
        using var model = Colours.Trainer(ml, options).Fit(data);
        var schema = model.GetOutputSchema(data.Schema);

        var names = Colours.Names.Order().ToArray();
        var score = schema["Score"];
        Assert.AreEqual(new VectorDataViewType(NumberDataViewType.Single, 4), score.Type);
        CollectionAssert.AreEqual(names, Texts(score, "SlotNames"));
        CollectionAssert.AreEqual(names, Texts(score, "TrainingLabelValues"));
        Assert.AreEqual("MulticlassClassification", Text(score, "ScoreColumnKind"));
        Assert.AreEqual("Score", Text(score, "ScoreValueKind"));

        var predicted = schema["PredictedLabel"];
        Assert.AreEqual(new KeyDataViewType(typeof(uint), 4), predicted.Type);
        CollectionAssert.AreEqual(names, Texts(predicted, "KeyValues"));
        Assert.AreEqual("PredictedLabel", Text(predicted, "ScoreValueKind"));
        Assert.AreEqual(ScoreSet(score), ScoreSet(predicted));

        using var second = Colours.Trainer(ml, options).Fit(model.Transform(data));
        Assert.AreNotEqual(
            ScoreSet(score), ScoreSet(second.GetOutputSchema(schema)["Score"]), "two scorers in one pipeline are told apart");
    }

    [TestMethod]
    public void SimpleOverload_NeedsNoOptions()
    {
        var ml = new MLContext(seed: 1);
        var rows = Colours.Rows(40).Select(r => new { Image = r.Features, r.Label });
        var data = ml.Data.LoadFromEnumerable(rows, Sized(rows, "Image", 3, 8, 8));
        using var model = ml.Transforms.Conversion.MapValueToKey("Class", "Label")
            .Append(Simple(ml, "Class", "Image", "P", "Guess")).Fit(data);

        var schema = model.GetOutputSchema(data.Schema);
        Assert.IsNotNull(schema.GetColumnOrNull("P"));
        Assert.IsNotNull(schema.GetColumnOrNull("Guess"));
        Assert.AreEqual("Class", model.LastTransformer.LabelColumnName);
        Assert.AreEqual("Image", model.LastTransformer.FeatureColumnName);
    }

    [TestMethod]
    public void NumericLabels_KeepTheirValues()
    {
        var ml = new MLContext(seed: 1);
        var rows = Colours.Rows(60).Select(r => new { r.Features, Label = 10 * Array.IndexOf(Colours.Names, r.Label) });
        var data = ml.Data.LoadFromEnumerable(rows, Sized(rows, "Features", 3, 8, 8));
        var options = Options();
        options.Epochs = 1;
        using var model = ml.Transforms.Conversion.MapValueToKey("Label")
            .Append(Colours.Trainer(ml, options))
            .Append(ml.Transforms.Conversion.MapKeyToValue("PredictedLabel")).Fit(data);

        var predicted = model.Transform(data).GetColumn<int>("PredictedLabel").ToArray();
        Assert.IsTrue(predicted.All(p => p is 0 or 10 or 20 or 30));
    }

    // The scores of the training data.
    private float[] TrainThroughExtractPixels(bool interleave)
    {
        var ml = new MLContext(seed: 1);
        var data = ml.Data.LoadFromEnumerable(Colours.Pictures(200));
        using var model = ml
            .Transforms.ResizeImages("Resized", 8, 8, nameof(PictureRow.Features))
            .Append(
                ml.Transforms.ExtractPixels("Pixels", "Resized", interleavePixelColors: interleave, offsetImage: 128, scaleImage: 1 / 128f))
            .Append(ml.Transforms.CopyColumns("Features", "Pixels"))
            .Append(Colours.Pipeline(ml, Options())).Fit(data);

        var scored = model.Transform(data);
        Assert.IsGreaterThan(0.95, ml.MulticlassClassification.Evaluate(scored).MicroAccuracy, $"interleaved: {interleave}");
        return [.. scored.GetColumn<float[]>("Score").SelectMany(score => score)];
    }

    private static string[] ClassNames(MulticlassClassificationMetrics metrics)
    {
        var text = metrics.ConfusionMatrix.GetFormattedConfusionTable();
        return [.. Colours.Names.Order().Where(name => text.Contains(name, StringComparison.Ordinal))];
    }

    private static SchemaDefinition Sized<T>(IEnumerable<T> rows, string column, params int[] dimensions) where T : class
    {
        _ = rows;   // only says what T is: an anonymous type
        var definition = SchemaDefinition.Create(typeof(T));
        definition[column].ColumnType = new VectorDataViewType(NumberDataViewType.Single, dimensions);
        return definition;
    }

    private static SchemaShape SchemaShapeOf(DataViewSchema schema) =>
        (SchemaShape)
            typeof(SchemaShape)
                .GetMethod("Create", System.Reflection.BindingFlags.Static | System.Reflection.BindingFlags.NonPublic)!
                .Invoke(null, [schema])!;

    private static string[] Texts(DataViewSchema.Column column, string kind)
    {
        VBuffer<ReadOnlyMemory<char>> values = default;
        column.Annotations.GetValue(kind, ref values);
        return [.. values.DenseValues().Select(v => v.ToString())];
    }

    private static string Text(DataViewSchema.Column column, string kind)
    {
        ReadOnlyMemory<char> value = default;
        column.Annotations.GetValue(kind, ref value);
        return value.ToString();
    }

    private static uint ScoreSet(DataViewSchema.Column column)
    {
        uint value = 0;
        column.Annotations.GetValue("ScoreColumnSetId", ref value);
        return value;
    }

    private static Comparer<float> Comparer(float tolerance) =>
        Comparer<float>.Create((a, b) => Math.Abs(a - b) <= tolerance ? 0 : a.CompareTo(b));
}

using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.TorchSharp;
using Microsoft.ML.TorchSharp.NasBert;

var random = new Random(1);
var rows = Enumerable.Range(0, 32).Select(i => new Reading
{
    Pixels = [.. Enumerable.Range(0, 3 * 8 * 8).Select(_ => (float)random.NextDouble())],
    Text = i % 2 == 0 ? "all is well" : "nothing works",
    Label = i % 2 == 0 ? "even" : "odd",
}).ToList();

var mlContext = new MLContext(seed: 1);
var data = mlContext.Data.LoadFromEnumerable(rows);
var ours = mlContext.Transforms.Conversion.MapValueToKey("Label")
    .Append(mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(new WideNetImageClassifier.Options
    {
        FeatureColumnName = "Pixels",
        ImageHeight = 8,
        ImageWidth = 8,
        PatchSize = 4,
        Architecture = WideNetConfig.Small with { Width = 16, Heads = 2, Blocks = 2, ExpertWidth = 32 },
        Epochs = 1,
        BatchSize = rows.Count,
    }));
var before = ours.Fit(data);

// One pipeline with both trainers. Fit would make theirs download its network: the columns that both add are asked for instead.
var theirs = mlContext.MulticlassClassification.Trainers.TextClassification(new TextClassificationTrainer.TextClassificationOptions
{
    Sentence1ColumnName = "Text",
    PredictionColumnName = "TextLabel",
    ScoreColumnName = "TextScore",
});
var both = ours.Append(theirs);
var shape = new ShapeOfData(mlContext.Transforms.CopyColumns("Copy", "Label"));
mlContext.Transforms.CopyColumns("Text", "Text").Append(shape).Fit(data);
var columns = both.GetOutputSchema(shape.Seen!).Select(column => column.Name).ToHashSet();
Console.WriteLine($"columns: {string.Join(", ", columns.Order())}");

// Ours trains beside it as it does alone.
var after = ours.Fit(data);
var same = Scores(before).SequenceEqual(Scores(after))
    && new[] { "Score", "PredictedLabel", "TextScore", "TextLabel" }.All(columns.Contains);
Console.WriteLine($"TorchSharp {typeof(TorchSharp.torch).Assembly.GetName().Version}");
Console.WriteLine(same ? "one pipeline: same scores" : "one pipeline: other scores or columns");
return same ? 0 : 1;

IEnumerable<float> Scores(ITransformer model) => model.Transform(data).GetColumn<float[]>("Score").SelectMany(score => score).ToArray();

/// <summary>Keeps what a pipeline tells it of the columns; ML.NET has no public way to ask for that.</summary>
internal sealed class ShapeOfData(IEstimator<ITransformer> estimator) : IEstimator<ITransformer>
{
    public SchemaShape? Seen { get; private set; }

    public ITransformer Fit(IDataView input) => estimator.Fit(input);

    public SchemaShape GetOutputSchema(SchemaShape inputSchema) => estimator.GetOutputSchema(Seen = inputSchema);
}

internal sealed class Reading
{
    [VectorType(3 * 8 * 8)]
    public float[] Pixels { get; set; } = [];

    public string Text { get; set; } = "";

    public string Label { get; set; } = "";
}

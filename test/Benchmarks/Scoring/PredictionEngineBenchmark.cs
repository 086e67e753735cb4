// Axes: N = images of a batch, C = channels or classes, H = height, W = width.

using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Scoring;

/// <summary>Scores one image at a time: a prediction engine, object in and object out, against the same model called on a normalised tensor of one image.</summary>
internal sealed class PredictionEngineBenchmark : IBenchmark
{
    private readonly ImageClassificationTransformer transformer;
    private readonly PredictionEngine<RandomImage, ScoredImage> engine;
    private readonly RandomImage row;
    private readonly Tensor image_NCHW;
    private float[] ours = [];
    private float[] baseline = [];

    public PredictionEngineBenchmark()
    {
        var mlContext = new MLContext(seed: 1);
        var rows = RandomImage.Rows(256);
        var options = new WideNetImageClassifier.Options
        {
            FeatureColumnName = nameof(RandomImage.Image),
            Epochs = 1,
            Precision = Precision.Float32,
        };
        transformer = mlContext
            .MulticlassClassification.Trainers.WideNetImageClassifier(options)
            .Fit(mlContext.Data.LoadFromEnumerable(rows));
        engine = mlContext.Model.CreatePredictionEngine<RandomImage, ScoredImage>(transformer);
        row = rows[0];
        using var scope = NewDisposeScope();
        image_NCHW = transformer
            .Scorer.Normalization.Apply(tensor(row.Image).view(1, 1, RandomImage.Side, RandomImage.Side), CPU)
            .DetachFromDisposeScope();
    }

    public void Ours() => ours = engine.Predict(row).Score;

    public void Baseline()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        baseline = transformer.Model.call(image_NCHW).Logits_NC.softmax(-1).data<float>().ToArray();
    }

    public void Check()
    {
        Ours();
        Baseline();
        for (var i = 0; i < RandomImage.Classes; i++)
        {
            if (!(Math.Abs(ours[i] - baseline[i]) < 1e-5))
                throw new BenchmarkCheckException($"Class {i}: the engine gives {ours[i]}, the model {baseline[i]}.");
        }
    }

    public void Dispose()
    {
        engine.Dispose();
        transformer.Dispose();
        image_NCHW.Dispose();
    }
}

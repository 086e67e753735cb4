// Axes: N = images of a batch, C = channels or classes, H = height, W = width.

using Benchmarks.Frozen;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Scoring;

/// <summary>
/// Scores one image at a time: a prediction engine, object in and object out, against the same model called on a normalised tensor of one
/// image, or against it in libtorch's operators.
/// </summary>
internal sealed class PredictionEngineBenchmark : IBenchmark
{
    private readonly ImageClassificationTransformer transformer;
    private readonly PredictionEngine<RandomImage, ScoredImage> engine;
    private readonly RandomImage row;
    private readonly Tensor image_NCHW;
    private readonly ITorchClassifier? frozen;
    private float[] ours = [];
    private float[] baseline = [];

    /// <param name="freeze">Makes the baseline in libtorch's operators, with the weights of the library's; null to call that.</param>
    public PredictionEngineBenchmark(Func<ImageClassifier, ITorchClassifier>? freeze)
    {
        var mlContext = new MLContext(seed: 1);
        var rows = RandomImage.Rows(256);
        var options = new WideNetImageClassifier.Options
        {
            FeatureColumnName = nameof(RandomImage.Image),
            Architecture = WideNetConfig.Small,
            Epochs = 1,
            Precision = Precision.Float32,
        };
        transformer = mlContext
            .MulticlassClassification.Trainers.WideNetImageClassifier(options)
            .Fit(mlContext.Data.LoadFromEnumerable(rows));
        engine = mlContext.Model.CreatePredictionEngine<RandomImage, ScoredImage>(transformer);
        frozen = freeze?.Invoke(transformer.Model);
        row = rows[0];
        using var scope = NewDisposeScope();
        image_NCHW = transformer
            .Scorer.Normalization.Apply(tensor(row.Image).view(1, 1, RandomImage.Side, RandomImage.Side), CPU)
            .DetachFromDisposeScope();
    }

    public BenchmarkWork? Work => new(transformer.Model.Config.GetCost().ForwardMacs);

    public void Ours() => ours = engine.Predict(row).Score;

    public void Baseline()
    {
        using var mode = inference_mode();
        using var scope = NewDisposeScope();
        var logits_NC = frozen?.Forward(image_NCHW, training: false).Logits_NC ?? transformer.Model.call(image_NCHW).Logits_NC;
        baseline = logits_NC.softmax(-1).data<float>().ToArray();
    }

    public void Check()
    {
        Ours();
        Baseline();
        for (var i = 0; i < RandomImage.Classes; i++)
        {
            if (!(Math.Abs(ours[i] - baseline[i]) < 1e-5))
                throw new BenchmarkCheckException($"Class {i}: the engine gives {ours[i]}, the baseline {baseline[i]}.");
        }
    }

    public void Dispose()
    {
        engine.Dispose();
        transformer.Dispose();
        frozen?.Dispose();
        image_NCHW.Dispose();
    }
}

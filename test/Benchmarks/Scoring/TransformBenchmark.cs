// Axes: N = images of a batch, C = channels or classes, H = height, W = width.

using Microsoft.ML;
using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Scoring;

/// <summary>
/// Scores 10,000 images in memory: the transformer in ML.NET, rows in and probabilities out, against the same model called on batches that
/// lie ready as normalised tensors. The ratio is the part of the machine that the pipeline leaves to the model.
/// </summary>
internal sealed class TransformBenchmark : IBenchmark
{
    private const int Rows = 10_000;

    private readonly ImageClassificationTransformer transformer;
    private readonly IDataView data;
    private readonly List<Tensor> batches_NCHW = [];
    private readonly float[] ours = new float[Rows * RandomImage.Classes];
    private readonly float[] baseline = new float[Rows * RandomImage.Classes];

    public TransformBenchmark()
    {
        var mlContext = new MLContext(seed: 1);
        var rows = RandomImage.Rows(Rows);
        data = mlContext.Data.LoadFromEnumerable(rows);
        var options = new WideNetImageClassifier.Options
        {
            FeatureColumnName = nameof(RandomImage.Image),
            Epochs = 1,
            Precision = Precision.Float32,
        };
        transformer = mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(options).Fit(mlContext.Data.TakeRows(data, 256));

        foreach (var chunk in rows.Chunk(options.PredictionBatchSize))
        {
            using var scope = NewDisposeScope();
            var numbers_NCHW = tensor(chunk.SelectMany(row => row.Image).ToArray())
                .view(chunk.Length, 1, RandomImage.Side, RandomImage.Side);
            batches_NCHW.Add(transformer.Scorer.Normalization.Apply(numbers_NCHW, CPU).DetachFromDisposeScope());
        }
    }

    public BenchmarkWork? Work => new((double)Rows * transformer.Model.Config.GetCost().ForwardMacs);

    public void Ours()
    {
        var scored = transformer.Transform(data);
        var column = scored.Schema[transformer.ScoreColumnName];
        using var cursor = scored.GetRowCursor([column]);
        var getter = cursor.GetGetter<VBuffer<float>>(column);
        VBuffer<float> probabilities = default;
        for (var row = 0; cursor.MoveNext(); row++)
        {
            getter(ref probabilities);
            probabilities.CopyTo(ours.AsSpan(row * RandomImage.Classes));
        }
    }

    public void Baseline()
    {
        using var mode = inference_mode();
        var done = 0;
        foreach (var batch_NCHW in batches_NCHW)
        {
            using var scope = NewDisposeScope();
            var probabilities_NC = transformer.Model.call(batch_NCHW).Logits_NC.softmax(-1);
            var values = probabilities_NC.data<float>().ToArray();
            values.CopyTo(baseline, done);
            done += values.Length;
        }
    }

    public void Check()
    {
        Ours();
        Baseline();
        for (var i = 0; i < ours.Length; i++)
        {
            if (!(Math.Abs(ours[i] - baseline[i]) < 1e-5))
                throw new BenchmarkCheckException(
                    $"Row {i / RandomImage.Classes}, class {i % RandomImage.Classes}: the transformer gives {ours[i]}, the model "
                        + $"{baseline[i]}.");
        }
    }

    public void Dispose()
    {
        transformer.Dispose();
        foreach (var batch_NCHW in batches_NCHW)
            batch_NCHW.Dispose();
    }
}

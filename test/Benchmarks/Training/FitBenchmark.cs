using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.MoE.Weights;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Image;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>
/// Trains two epochs on 1024 images in memory: <c>Fit</c>, which reads, shuffles, normalises and reports, against the same steps written by hand over batches
/// that lie ready as tensors, in the order in which <c>Fit</c> takes them. Both end with the same weights.
/// </summary>
internal sealed class FitBenchmark : IBenchmark
{
    private const int Rows = 1024;
    private const int Seed = 1;

    private readonly IDataView data;
    private readonly WideNetImageClassifier estimator;
    private readonly WideNetImageClassifier.Options options;
    private readonly ImageClassifierConfig config;
    private readonly List<ImageBatch> batches;

    public FitBenchmark()
    {
        var mlContext = new MLContext();
        data = mlContext.Data.LoadFromEnumerable(RandomImage.Rows(Rows));
        options = new WideNetImageClassifier.Options
        {
            FeatureColumnName = nameof(RandomImage.Image),
            PatchSize = 7,
            Epochs = 2,
            Seed = Seed,
            Precision = Precision.Float32,
        };
        estimator = mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(options);

        var host = ((IHostEnvironment)mlContext).Register(nameof(FitBenchmark));
        using var channel = host.Start(nameof(FitBenchmark));
        var images = ImageColumn.Find(host, data.Schema, options.FeatureColumnName, null, null, null, ImageResizingEstimator.ResizingKind.IsoCrop);
        var labels = LabelColumn.Find(host, data.Schema, options.LabelColumnName);
        var scan = ImageScan.Run(host, channel, new ImageData(data, images, labels), "training", long.MaxValue, options.ShufflePoolSize, CancellationToken.None);
        var source = new ImageBatchSource(scan.Examples, new ImageBatches(images, scan.Normalization, CPU, options.BatchSize), Seed);
        batches = [.. Enumerable.Range(0, options.Epochs).SelectMany(epoch => source.ReadEpoch(epoch, CancellationToken.None))];
        config = options.CreateConfig(images.Shape, labels.ClassCount);
    }

    public void Ours() => estimator.Fit(data).Dispose();

    public void Baseline() => TrainByHand().Dispose();

    public void Check()
    {
        using var transformer = estimator.Fit(data);
        using var model = TrainByHand();
        using var scope = NewDisposeScope();
        var expected = ModuleWeights.Collect(model);
        foreach (var (name, weight) in ModuleWeights.Collect(transformer.Model))
        {
            var difference = (weight.detach() - expected[name].detach()).abs().max().item<float>();
            if (!(difference < 1e-4))   // the learning rate is 1e-3, so that one other step would show
                throw new BenchmarkCheckException($"After {batches.Count} steps, '{name}' differs by {difference}.");
        }
    }

    public void Dispose()
    {
        foreach (var batch in batches)
            batch.Dispose();
    }

    private ImageClassifier TrainByHand()
    {
        using var seed = new SeedScope(Seed, CPU);
        var model = config.Build(CPU, ScalarType.Float32);
        var training = options.CreateTrainingOptions();
        var schedule = training.CreateSchedule(batches.Count);
        using var optimizer = new FusedAdamW(ParameterGroup.ForModule(model, training.WeightDecay), training.Beta1, training.Beta2, training.Epsilon);
        model.train();
        for (var step = 0; step < batches.Count; step++)
        {
            using var scope = NewDisposeScope();
            optimizer.ZeroGrad();
            var output = model.call(batches[step].Images_NCHW);
            var loss = nn.functional.cross_entropy(output.Logits_NC, batches[step].Labels_N, label_smoothing: options.LabelSmoothing) + output.AuxiliaryLoss;
            loss.backward();
            var divisor = GradientClipping.Divisor(GradientClipping.Norm(optimizer.Parameters), training.GradientClipNorm!.Value);
            optimizer.Step(schedule.RateAt(step), divisor);
        }

        optimizer.ZeroGrad();
        return model;
    }
}

using FashionMnist;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Objectives;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Image;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Training;

/// <summary>
/// Trains the Fashion-MNIST sample's model for four epochs on 2048 of its images: <c>Fit</c>, which reads, shuffles, normalises and
/// reports, against the same steps written by hand over batches that lie ready as tensors, in the order in which <c>Fit</c> takes them.
/// Both end with the same weights.
/// </summary>
internal sealed class FitBenchmark : IBenchmark
{
    private const int Rows = 2048;
    private const int Seed = 1;

    private readonly IDataView data;
    private readonly WideNetImageClassifier estimator;
    private readonly WideNetImageClassifier.Options options;
    private readonly ImageClassifierConfig config;
    private readonly List<ImageBatch> batches;

    public FitBenchmark()
    {
        var mlContext = new MLContext();
        var rows = mlContext.Data.TakeRows(
            mlContext.Data.LoadFromEnumerable(FashionMnistData.ReadTrain(FashionMnistData.ShippedDirectory)), Rows);
        data = mlContext.Data.Cache(
            mlContext.Transforms.Conversion.MapValueToKey(nameof(FashionMnistImage.Label)).Fit(rows).Transform(rows));
        options = new WideNetImageClassifier.Options
        {
            FeatureColumnName = nameof(FashionMnistImage.Image),
            Architecture = WideNetConfig.Small with { Blocks = 3 },
            PatchSize = 7,
            Epochs = 4,
            LearningRate = 3e-3,
            Seed = Seed,
            Precision = Precision.Float32,
        };
        options.Settle();
        estimator = mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(options);

        var host = ((IHostEnvironment)mlContext).Register(nameof(FitBenchmark));
        using var channel = host.Start(nameof(FitBenchmark));
        var images = ImageColumn.Find(
            host, data.Schema, new(options.FeatureColumnName, null, null, null, ImageResizingEstimator.ResizingKind.IsoCrop));
        var labels = LabelColumn.Find(host, data.Schema, options.LabelColumnName);
        var scan = ImageScan.Run(
            host,
            channel,
            new ImageData(data, images, labels),
            "training",
            new() { CacheLimit = long.MaxValue, PoolSize = options.ShufflePoolSize },
            CancellationToken.None);
        var source = new ImageBatchSource(
            scan.Examples, new ImageBatches(images, scan.Statistics.ToNormalization(), CPU, options.BatchSize!.Value), Seed);
        batches = [.. Enumerable.Range(0, options.Epochs!.Value).SelectMany(epoch => source.ReadEpoch(epoch, CancellationToken.None))];
        config = options.CreateConfig(images.Shape, labels.ClassCount);
    }

    public BenchmarkWork? Work => new(3.0 * Rows * options.Epochs!.Value * config.GetCost().ForwardMacs);

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
            if (!(difference < 1e-4))   // the learning rate is 3e-3, so that one other step would show
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
        var training = options;
        var schedule = training.CreateSchedule(batches.Count);
        using var modelStep = new ModelStep(model, training, options.LabelSmoothing!.Value);
        for (var step = 0; step < batches.Count; step++)
            modelStep.Run(batches[step].Images_NCHW, batches[step].Labels_N, schedule.RateAt(step)).Dispose();
        return model;
    }
}

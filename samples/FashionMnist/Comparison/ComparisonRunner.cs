using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;

namespace FashionMnist.Comparison;

/// <summary>Trains the variants of an experiment, all from the same seeds on the same images in the same order, and measures them.</summary>
internal static class ComparisonRunner
{
    private const int HeldOut = 2000;

    /// <summary>Trains every variant once for each seed.</summary>
    /// <param name="experiment">What to train.</param>
    /// <param name="directory">The folder of Fashion-MNIST.</param>
    /// <param name="seeds">How many seeds, from 1.</param>
    /// <param name="report">Receives a line after each training.</param>
    public static List<TrainedVariant> Run(Experiment experiment, string directory, int seeds, Action<string> report)
    {
        var images = FashionMnistData.ReadTrain(directory);
        var test = FashionMnistData.ReadTest(directory);
        if (images.Count < experiment.TrainingImages + HeldOut)
            throw new InvalidDataException($"'{directory}' has {images.Count} training images; this experiment wants {experiment.TrainingImages + HeldOut}.");

        var trained = new List<TrainedVariant>();
        for (var seed = 1; seed <= seeds; seed++)   // the seeds outside, so that whatever else the machine does meets all variants
        {
            foreach (var variant in experiment.Variants)
            {
                var result = Train(experiment, variant, seed, images.Take(experiment.TrainingImages), images.TakeLast(HeldOut), test);
                trained.Add(result);
                report(string.Create(CultureInfo.InvariantCulture, $"{variant.Name}, seed {seed}: accuracy {result.TestAccuracy:F4}, {result.ImagesPerSecond:F0} images/s"));
            }
        }
        return trained;
    }

    private static TrainedVariant Train(
        Experiment experiment, Variant variant, int seed, IEnumerable<FashionMnistImage> images, IEnumerable<FashionMnistImage> heldOut, IEnumerable<FashionMnistImage> test)
    {
        var mlContext = new MLContext(seed);
        var key = mlContext.Transforms.Conversion.MapValueToKey("Label").Fit(mlContext.Data.LoadFromEnumerable(FashionMnistData.ClassNames.Select(name => new FashionMnistImage { Label = name })));
        IDataView Load(IEnumerable<FashionMnistImage> rows) => key.Transform(mlContext.Data.LoadFromEnumerable(rows));

        var estimator = variant.CreateEstimator(mlContext, options =>
        {
            options.FeatureColumnName = "Image";
            options.Epochs = experiment.Epochs;
            options.LearningRate = 3e-3;
            options.LabelSmoothing = 0;
            options.HorizontalFlip = true;   // a shoe may point either way
            options.Threads = 1;   // matrices this small gain little from more, and two experiments can run side by side
        });
        using var model = estimator.Fit(Load(images), Load(heldOut));
        var accuracy = mlContext.MulticlassClassification.Evaluate(model.Transform(Load(test))).MicroAccuracy;

        var epochs = model.Training!.Training.Epochs;
        var load = epochs[^1].Averages.ExpertLoad;
        return new TrainedVariant(
            variant.Name, seed, model.Model.Config.GetCost(), accuracy, epochs[^1].Averages.Loss,
            epochs.Select(epoch => epoch.Averages.SamplesPerSecond).Order().ElementAt(epochs.Count / 2),
            load?.Average(layer => layer.SquaredVariation), load?.Average(layer => layer.DroppedFraction), LayerNorms.Diversity(model.Model),
            [.. epochs.Select(epoch => new CurvePoint(epoch.Epoch, epoch.Averages.Loss, epoch.Validation!.Metric))]);
    }
}

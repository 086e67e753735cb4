using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Training;

namespace Samples.Comparison;

/// <summary>
/// Trains the variants of an experiment, all from the same seeds on the same images in the same order, and measures them.
/// </summary>
internal static class ComparisonRunner
{
    /// <summary>Trains every variant once for each seed.</summary>
    /// <param name="experiment">What to train.</param>
    /// <param name="images">What to train and test on.</param>
    /// <param name="seeds">How many seeds, from 1.</param>
    /// <param name="report">Receives a line after each training, and after each epoch of a pre-training.</param>
    /// <exception cref="InvalidDataException">There are too few images.</exception>
    public static List<TrainedVariant> Run(Experiment experiment, ImageSet images, int seeds, Action<string> report)
    {
        var wanted = experiment.TrainingImages + experiment.UnlabelledImages + experiment.HeldOutImages;
        if (images.TrainingImages < wanted)
            throw new InvalidDataException($"'{images.Name}' has {images.TrainingImages} training images; this experiment wants {wanted}.");

        var trained = new List<TrainedVariant>();
        for (var seed = 1; seed <= seeds; seed++)   // the seeds outside, so that whatever else the machine does meets all variants
        {
            foreach (var variant in experiment.Variants)
            {
                // Of several seeds, so that two experiments can run side by side.
                var result = Train(experiment, variant, seed, threads: seeds == 1 ? null : 1, images, report);
                trained.Add(result);
                report(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{variant.Name}, seed {seed}: accuracy {result.TestAccuracy:F4}, {result.ImagesPerSecond:F0} images/s"));
            }
        }
        return trained;
    }

    private static void ReportPretraining(Variant variant, TrainingProgress progress, Action<string> report)
    {
        if (progress.EpochCompleted)
            report(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"{variant.Name}: pre-training, epoch {progress.Epoch}/{progress.TotalEpochs}, loss {progress.Loss:F3}, "
                        + $"{progress.SamplesPerSecond:F0} images/s"));
    }

    private static TrainedVariant Train(
        Experiment experiment, Variant variant, int seed, int? threads, ImageSet images, Action<string> report)
    {
        var mlContext = new MLContext(seed);
        var labelled = experiment.TrainingImages;
        var estimator = variant.CreateEstimator(mlContext, options =>
        {
            options.FeatureColumnName = "Image";
            (options.ImageHeight, options.ImageWidth) = (images.Side, images.Side);
            options.Epochs = experiment.Epochs;
            options.Threads = threads;
            // A shoe may point either way.
            if (experiment.ByRecipe)
                options.AlternatingFlips = true;
            else
                (options.LearningRate, options.LabelSmoothing, options.HorizontalFlip) = (experiment.LearningRate, 0, true);
            if (variant.Pretrained)
            {
                options.Pretraining = new()
                {
                    UnlabeledData = images.Training(mlContext, labelled..(labelled + experiment.UnlabelledImages)),
                    Epochs = experiment.PretrainingEpochs,
                    MinCropScale = experiment.PretrainingCropScale,
                    Progress = progress => ReportPretraining(variant, progress, report),
                };
            }
        });
        var train = images.Training(mlContext, ..labelled);
        using var model =
            experiment.HeldOutImages == 0
                ? estimator.Fit(train)
                : estimator.Fit(train, images.Training(mlContext, ^experiment.HeldOutImages..));
        var accuracy = mlContext.MulticlassClassification.Evaluate(model.Transform(images.Test(mlContext))).MicroAccuracy;

        var epochs = model.Training!.Training.Epochs;
        var load = epochs[^1].Averages.ExpertLoad;
        return new TrainedVariant(
            variant.Name, seed, model.Model.Config.GetCost(), accuracy, epochs[^1].Averages.Loss,
            epochs.Select(epoch => epoch.Averages.SamplesPerSecond).Order().ElementAt(epochs.Count / 2),
            load?.Average(layer => layer.SquaredVariation),
            load?.Average(layer => layer.DroppedFraction),
            LayerNorms.Diversity(model.Model),
            [.. epochs.Select(epoch => new CurvePoint(epoch.Epoch, epoch.Averages.Loss, epoch.Validation?.Metric))]);
    }
}

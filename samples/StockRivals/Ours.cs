using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Training;

namespace StockRivals;

/// <summary>Our side.</summary>
internal static class Ours
{
    /// <summary>One of the pipelines below as a side of a contest.</summary>
    public static Contender Contender(Pipeline pipeline) => new("ours", "WideNet", pipeline);

    /// <summary>On the pixels of a column of bytes, for some time at most.</summary>
    public static Pipeline OnPixels(TimeSpan? time) => (mlContext, progress) =>
        mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(Classifier(mlContext, progress, options => options.MaxTime = time));

    /// <summary>
    /// The same on few images, more often and changed more (results/ says what that is worth), after a training without labels on
    /// other images, if there are others.
    /// </summary>
    public static IEstimator<ITransformer> OnFewLabels(MLContext mlContext, IDataView? others, Action<TrainingProgress> progress) =>
        mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(Classifier(mlContext, progress, options =>
            {
                (options.RandAugmentOperations, options.RandAugmentMagnitude, options.Epochs) = (2, 5, 100);
                if (others is not null)
                    options.Pretraining = new() { UnlabeledData = others, Epochs = 10, MinCropScale = 0.4, Progress = progress };
            }));

    /// <summary>On the pictures of files.</summary>
    public static IEstimator<ITransformer> OnPhotos(MLContext mlContext, Action<TrainingProgress> progress) =>
        mlContext.Transforms.Conversion.MapValueToKey("Label")
            .Append(mlContext.Transforms.LoadPictures("Image", imageFolder: "", "Path"))
            .Append(Classifier(mlContext, progress, options => (options.ImageHeight, options.ImageWidth) = (32, 32)));

    // The one place that says what our model is: what is chosen for the data.
    private static WideNetImageClassifier Classifier(
        MLContext mlContext, Action<TrainingProgress> progress, Action<WideNetImageClassifier.Options>? change = null)
    {
        var options = new WideNetImageClassifier.Options
        {
            FeatureColumnName = "Image",
            AlternatingFlips = true,   // clothes, and most of what is photographed, may face either way
            ScoringViews = ScoringViews.Mirrored,
            Progress = progress,
        };
        change?.Invoke(options);
        return mlContext.MulticlassClassification.Trainers.WideNetImageClassifier(options);
    }
}

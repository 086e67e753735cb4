using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;

namespace Microsoft.ML;

/// <summary>Adds <see cref="MoE.Estimators.WideNetImageClassifier"/> to <c>mlContext.MulticlassClassification.Trainers</c>.</summary>
public static class WideNetImageClassifierCatalog
{
    /// <summary>Trains a WideNet to classify images, with defaults that suit small images and a CPU.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">Column with the label, a key.</param>
    /// <param name="featureColumnName">Column with the images: pictures, or a known-size vector of Single or Byte.</param>
    /// <param name="scoreColumnName">Column that receives the class probabilities.</param>
    /// <param name="predictedLabelColumnName">Column that receives the predicted label.</param>
    /// <exception cref="ArgumentException">A column name is empty.</exception>
    public static WideNetImageClassifier WideNetImageClassifier(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog,
        string labelColumnName = "Label",
        string featureColumnName = "Features",
        string scoreColumnName = "Score",
        string predictedLabelColumnName = "PredictedLabel") =>
        catalog.WideNetImageClassifier(new WideNetImageClassifier.Options
        {
            LabelColumnName = labelColumnName,
            FeatureColumnName = featureColumnName,
            ScoreColumnName = scoreColumnName,
            PredictedLabelColumnName = predictedLabelColumnName,
        });

    /// <summary>Trains a WideNet to classify images.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Architecture, training, data. Copied: later changes have no effect.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public static WideNetImageClassifier WideNetImageClassifier(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, WideNetImageClassifier.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(options);
        return new WideNetImageClassifier(catalog.GetEnvironment(), options);
    }
}

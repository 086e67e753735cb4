using Microsoft.ML.Data;
using Microsoft.ML.MoE.Estimators;

namespace Microsoft.ML;

/// <summary>Adds <see cref="MoE.Estimators.WideNetTextClassifier"/> to <c>mlContext.MulticlassClassification.Trainers</c>.</summary>
public static class WideNetTextClassifierCatalog
{
    /// <summary>Trains a small WideNet to classify texts, with word pieces learned from them.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="labelColumnName">Column with the label, a key.</param>
    /// <param name="textColumnName">Column with the texts.</param>
    /// <param name="scoreColumnName">Column that receives the class probabilities.</param>
    /// <param name="predictedLabelColumnName">Column that receives the predicted label.</param>
    /// <exception cref="ArgumentException">A column name is empty.</exception>
    public static WideNetTextClassifier WideNetTextClassifier(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog,
        string labelColumnName = "Label",
        string textColumnName = "Text",
        string scoreColumnName = "Score",
        string predictedLabelColumnName = "PredictedLabel") =>
        catalog.WideNetTextClassifier(new WideNetTextClassifier.Options
        {
            LabelColumnName = labelColumnName,
            TextColumnName = textColumnName,
            ScoreColumnName = scoreColumnName,
            PredictedLabelColumnName = predictedLabelColumnName,
        });

    /// <summary>Trains a text encoder to classify texts, or pairs of texts.</summary>
    /// <param name="catalog">The catalog.</param>
    /// <param name="options">Architecture, published weights, training, data. Copied: later changes have no effect.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public static WideNetTextClassifier WideNetTextClassifier(
        this MulticlassClassificationCatalog.MulticlassClassificationTrainers catalog, WideNetTextClassifier.Options options)
    {
        ArgumentNullException.ThrowIfNull(catalog);
        ArgumentNullException.ThrowIfNull(options);
        return new WideNetTextClassifier(catalog.GetEnvironment(), options);
    }
}

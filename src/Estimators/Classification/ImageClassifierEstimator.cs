using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What every estimator of an image classifier offers: training on a data view, with or without validation data, to a transformer.
/// </summary>
/// <remarks>
/// Input: a column of pictures (<see cref="Microsoft.ML.Data.MLImage"/>) or a known-size vector of Single or Byte, and a key label. Output:
/// the class probabilities and the predicted label. The numbers of the images are normalised by the estimator, per channel with the mean
/// and deviation of the training data. Rows without a label and pictures that cannot be read are left out of the training, counted and
/// reported. (Where <c>ExtractPixels</c> reads the pictures, before the estimator sees them, a bad one ends the reading, as in any other
/// pipeline.)
/// </remarks>
public abstract class ImageClassifierEstimator : ITrainerEstimator<ImageClassificationTransformer, ImageClassifier>
{
    private readonly ImageClassificationTrainer trainer;

    private protected ImageClassifierEstimator(IHostEnvironment environment, string name, ImageClassificationOptions options) =>
        trainer = new ImageClassificationTrainer(environment, name, options);

    /// <summary>What ML.NET asks of every trainer: no normalised features needed, and no cache of its own.</summary>
    public TrainerInfo Info => trainer.Info;

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The trained model as a transformer; dispose it to free the model's memory early.</returns>
    /// <exception cref="ArgumentException">A column is missing or has the wrong type, or the architecture does not fit the
    /// images.</exception>
    /// <exception cref="InvalidOperationException">There are no usable rows, or rows of one class only; or the GPU that the context asks
    /// for is missing.</exception>
    /// <exception cref="OperationCanceledException">Training was cancelled.</exception>
    public ImageClassificationTransformer Fit(IDataView input) => trainer.Fit(input, validation: null);

    /// <summary>Trains a model and measures it on other data after every epoch; the weights of the best epoch are kept.</summary>
    /// <param name="trainData">The training data.</param>
    /// <param name="validationData">The validation data, with the same columns and classes.</param>
    /// <inheritdoc cref="Fit(IDataView)"/>
    public ImageClassificationTransformer Fit(IDataView trainData, IDataView validationData)
    {
        ArgumentNullException.ThrowIfNull(validationData);
        return trainer.Fit(trainData, validationData);
    }

    /// <summary>The columns after this estimator, from the columns before it.</summary>
    /// <exception cref="ArgumentException">A column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema) => trainer.GetOutputSchema(inputSchema);
}

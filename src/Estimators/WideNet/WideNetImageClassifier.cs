using Microsoft.ML.MoE.Models;
using Microsoft.ML.Trainers;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Trains a <see cref="WideNet"/> to classify images: a Transformer whose blocks share one attention module and one mixture of experts ("Go Wider Instead of Deeper", arXiv 2107.11817).
/// </summary>
/// <remarks>
/// Input: a column of pictures (<see cref="Microsoft.ML.Data.MLImage"/>) or a known-size vector of Single or Byte, and a key label. Output: the class probabilities and the predicted
/// label. The numbers of the images are normalised by the estimator, per channel with the mean and deviation of the training data.
/// Rows without a label and pictures that cannot be read are left out of the training, counted and reported. (Where <c>ExtractPixels</c> reads the pictures, before the
/// estimator sees them, a bad one ends the reading, as in any other pipeline.)
/// </remarks>
public sealed partial class WideNetImageClassifier : ITrainerEstimator<ImageClassificationTransformer, ImageClassifier>
{
    private readonly ImageClassificationTrainer trainer;

    internal WideNetImageClassifier(Microsoft.ML.Runtime.IHostEnvironment environment, Options options) =>
        trainer = new ImageClassificationTrainer(environment, nameof(WideNetImageClassifier), options);

    /// <summary>What ML.NET asks of every trainer: no normalised features needed, and no cache of its own.</summary>
    public TrainerInfo Info => trainer.Info;

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The trained model as a transformer; dispose it to free the model's memory early.</returns>
    /// <exception cref="ArgumentException">A column is missing or has the wrong type, or the architecture does not fit the images.</exception>
    /// <exception cref="InvalidOperationException">There are no usable rows, or rows of one class only; or the GPU that the context asks for is missing.</exception>
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

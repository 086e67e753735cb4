using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Trains a text encoder to classify texts, or pairs of texts: a WideNet, whose one block of attention and experts serves all depth ("Go
/// Wider Instead of Deeper", arXiv 2107.11817, section 5), or a BERT, an ALBERT or a mixture of experts, from random weights or from
/// published ones. </summary>
/// <remarks>
/// Input: one or two columns of texts and a key label. Output: the class probabilities and the predicted label. Rows without a label, and
/// rows in which a text is missing or empty, are left out of the training, counted and reported; of texts that are too long the rest is
/// left out. </remarks>
public sealed partial class WideNetTextClassifier : IEstimator<TextClassificationTransformer>
{
    private readonly TextClassificationTrainer trainer;

    internal WideNetTextClassifier(IHostEnvironment environment, Options options) =>
        trainer = new TextClassificationTrainer(environment, nameof(WideNetTextClassifier), options);

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The trained model as a transformer; dispose it to free the model's memory early.</returns>
    /// <exception cref="ArgumentException">A column is missing or has the wrong type, or the architecture is not valid.</exception>
    /// <exception cref="InvalidOperationException">There are no usable rows, or rows of one class only; or the GPU that the context asks
    /// for is missing.</exception>
    /// <exception cref="InvalidDataException">The published weights lack a tokenizer, or have one that does not fit.</exception>
    /// <exception cref="OperationCanceledException">Training was cancelled.</exception>
    public TextClassificationTransformer Fit(IDataView input) => trainer.Fit(input, validation: null);

    /// <summary>Trains a model and measures it on other data after every epoch; the weights of the best epoch are kept.</summary>
    /// <param name="trainData">The training data.</param>
    /// <param name="validationData">The validation data, with the same columns and classes.</param>
    /// <inheritdoc cref="Fit(IDataView)"/>
    public TextClassificationTransformer Fit(IDataView trainData, IDataView validationData)
    {
        ArgumentNullException.ThrowIfNull(validationData);
        return trainer.Fit(trainData, validationData);
    }

    /// <summary>The columns after this estimator, from the columns before it.</summary>
    /// <exception cref="ArgumentException">A column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema) => trainer.GetOutputSchema(inputSchema);
}

using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Trains a language model from scratch: a decoder-only Transformer whose middle block has a PEER layer, many thousand to a million experts
/// of one neuron each ("Mixture of A Million Experts", arXiv 2407.04153).
/// </summary>
/// <remarks>
/// Input: a column of texts, each row a document. For training they are joined by a separator and cut into windows. Output for each text:
/// its log-likelihood, number of tokens and perplexity, and on demand an embedding and a continuation; the transformer also generates text
/// and evaluates.
/// </remarks>
public sealed partial class PeerLanguageModel : IEstimator<LanguageModelTransformer>
{
    private readonly LanguageModelTrainer trainer;

    internal PeerLanguageModel(IHostEnvironment environment, Options options) =>
        trainer = new LanguageModelTrainer(environment, nameof(PeerLanguageModel), options);

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The trained model as a transformer; dispose it to free the model's memory early.</returns>
    /// <exception cref="ArgumentException">The text column is missing or has the wrong type, or the architecture is not valid.</exception>
    /// <exception cref="InvalidOperationException">There is no text; or the model does not fit into the memory; or the GPU that the context
    /// asks for is missing.</exception>
    /// <exception cref="OperationCanceledException">Training was cancelled.</exception>
    public LanguageModelTransformer Fit(IDataView input) => trainer.Fit(input, validation: null);

    /// <summary>Trains a model and measures it on other data, whole, after every epoch; the weights of the best epoch are kept.</summary>
    /// <param name="trainData">The training data.</param>
    /// <param name="validationData">The validation data, with the same column.</param>
    /// <inheritdoc cref="Fit(IDataView)"/>
    public LanguageModelTransformer Fit(IDataView trainData, IDataView validationData)
    {
        ArgumentNullException.ThrowIfNull(validationData);
        return trainer.Fit(trainData, validationData);
    }

    /// <summary>The columns after this estimator, from the columns before it.</summary>
    /// <exception cref="ArgumentException">The text column is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema) => trainer.GetOutputSchema(inputSchema);
}

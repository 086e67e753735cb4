using Microsoft.ML.Data;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Trains one model for several tasks, from scratch or from an earlier model (<see cref="Options.InitialModel"/>): inputs and class names
/// of all tasks go through one encoder, whose experts are chosen by attributes of the tasks or otherwise ("Uni-Perceiver-MoE", arXiv
/// 2206.04674).
/// </summary>
/// <remarks>
/// Input: one data view with a column that names each row's task; rows leave the columns of other tasks empty. The transformer that comes
/// out serves every task:
/// <see cref="GeneralistTransformer.ForTask(string)"/>.
/// </remarks>
public sealed partial class UniPerceiverGeneralist : IEstimator<GeneralistTransformer>
{
    private readonly IHost host;
    private readonly Options options;
    private readonly IReadOnlyList<ChosenOption> chosen;

    internal UniPerceiverGeneralist(IHostEnvironment environment, Options options)
    {
        options.Validate();
        host = environment.Register(nameof(UniPerceiverGeneralist));
        this.options = options.Adopt();
        chosen = this.options.Settle();
    }

    /// <summary>Trains a model.</summary>
    /// <param name="input">The training data.</param>
    /// <returns>The trained model; dispose it to free the model's memory early.</returns>
    /// <exception cref="ArgumentException">A column is missing or has the wrong type, or the architecture is not valid, or two class names
    /// of a task are the same to the model once they are cut.</exception>
    /// <exception cref="InvalidOperationException">A row has a task or a class that was not declared, or a task has no rows; or the GPU
    /// that the context asks for is missing.</exception>
    /// <exception cref="OperationCanceledException">Training was cancelled.</exception>
    public GeneralistTransformer Fit(IDataView input) => new GeneralistTrainer(host, options, chosen).Fit(input, validation: null);

    /// <summary>
    /// Trains a model and measures it on other data after every epoch, each task alike; the weights of the epoch with the least loss are
    /// kept.
    /// </summary>
    /// <param name="trainData">The training data.</param>
    /// <param name="validationData">The validation data, with the same columns and at least one row of every task.</param>
    /// <inheritdoc cref="Fit(IDataView)"/>
    public GeneralistTransformer Fit(IDataView trainData, IDataView validationData)
    {
        ArgumentNullException.ThrowIfNull(validationData);
        return new GeneralistTrainer(host, options, chosen).Fit(trainData, validationData);
    }

    /// <summary>The columns after this estimator: those before it. A task's transformer adds its own.</summary>
    /// <exception cref="ArgumentException">A column that a task reads is missing or has the wrong type.</exception>
    public SchemaShape GetOutputSchema(SchemaShape inputSchema) =>
        new GeneralistTrainer(host, options, chosen).GetOutputSchema(inputSchema);
}

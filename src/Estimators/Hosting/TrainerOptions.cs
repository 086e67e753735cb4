using System.Globalization;
using System.Reflection;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What every estimator can be told: <see cref="TrainingOptions"/>, and what only ML.NET has.</summary>
public abstract class TrainerOptions : TrainingOptions
{
    private protected TrainerOptions()
    {
    }

    /// <summary>
    /// Column that receives what the model makes of a row before it reads its prediction from it, as features for other trainers: a vector
    /// of Single as long as the model is wide. Null (default) for none.
    /// </summary>
    public string? EmbeddingColumnName { get; set; }

    /// <summary>Batches made in the background while the model works, at least 1. Default 2.</summary>
    [OutsideIdentity("when a batch is made does not change it")]
    public int LookAhead { get; set; } = 2;

    /// <summary>
    /// Rows that are scored in one forward pass, at least 1. Default 64; language models have 32, of rows and of windows of long texts.
    /// </summary>
    [OutsideIdentity("it is for scoring")]
    public int PredictionBatchSize { get; set; } = 64;

    /// <summary>
    /// Called every <see cref="TrainingOptions.ProgressInterval"/> updates and at the end of every epoch, on the thread that trains; null
    /// (default) for no reports. The same appears as text in <see cref="MLContext.Log"/>.
    /// </summary>
    [OutsideIdentity("reports change no weight")]
    public Action<TrainingProgress>? Progress { get; set; }

    /// <summary>
    /// Ends training before its next batch, as <see cref="TrainingOptions.OnCancellation"/> says. So does <c>MLContext.CancelExecution</c>.
    /// </summary>
    [OutsideIdentity("a training that was cancelled is the same one")]
    public CancellationToken CancellationToken { get; set; }

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        OptionChecks.AtLeast(1, LookAhead, nameof(LookAhead));
        OptionChecks.AtLeast(1, PredictionBatchSize, nameof(PredictionBatchSize));
    }

    // What a column is called changes no weight.
    internal override bool IsInIdentity(PropertyInfo option) =>
        base.IsInIdentity(option) && !option.Name.EndsWith("ColumnName", StringComparison.Ordinal);

    /// <summary>Refuses an option that a kind of model has no use for.</summary>
    /// <exception cref="ArgumentException">It is set.</exception>
    private protected static void Refuse(bool isSet, string name, object? value, string reason)
    {
        if (isSet)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"{name} is {value}, but {reason}; leave it out."));
    }
}

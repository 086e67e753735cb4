namespace Microsoft.ML.MoE.Training;

/// <summary>A finished training.</summary>
/// <param name="Epochs">What happened in each epoch.</param>
/// <param name="Steps">Updates in all.</param>
/// <param name="StopReason">Why it ended.</param>
/// <param name="BestEpoch">The epoch that did best on the validation set; null without validation.</param>
/// <param name="BestWeightsRestored">Whether the module has the weights of that epoch now, rather than of the last.</param>
public sealed record TrainingResult(
    IReadOnlyList<EpochSummary> Epochs, int Steps, StopReason StopReason, EpochSummary? BestEpoch, bool BestWeightsRestored);

namespace Microsoft.ML.MoE.Training;

/// <summary>One epoch of a training.</summary>
/// <param name="Epoch">The epoch, from 1.</param>
/// <param name="Averages">Means over the epoch.</param>
/// <param name="LearningRate">Learning rate of its last update.</param>
/// <param name="Validation">The result on the validation set, or null without one.</param>
public sealed record EpochSummary(int Epoch, TrainingAverages Averages, double LearningRate, ValidationResult? Validation);

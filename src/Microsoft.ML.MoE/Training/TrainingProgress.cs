using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Training;

/// <summary>How training stands: reported every few updates and at the end of every epoch.</summary>
/// <param name="Epoch">The epoch, from 1.</param>
/// <param name="TotalEpochs">Epochs that were asked for.</param>
/// <param name="Step">Updates done in all.</param>
/// <param name="TotalSteps">Updates that training will take, unless it stops early; an estimate where the data's length is one.</param>
/// <param name="Averages">
/// Means since the last report; at the end of an epoch, over the whole epoch.
/// </param>
/// <param name="LearningRate">Learning rate of the last update.</param>
/// <param name="EpochCompleted">Whether this is the end of an epoch.</param>
/// <param name="Validation">At the end of an epoch of a training with validation, its result; otherwise null.</param>
public sealed record TrainingProgress(
    int Epoch,
    int TotalEpochs,
    int Step,
    int TotalSteps,
    TrainingAverages Averages,
    double LearningRate,
    bool EpochCompleted,
    ValidationResult? Validation)
{
    /// <summary>Samples per second, time for data included, time for validation not.</summary>
    public double SamplesPerSecond => Averages.SamplesPerSecond;

    /// <summary>Mean main loss.</summary>
    public double Loss => Averages.Loss;

    /// <summary>Mean auxiliary loss.</summary>
    public double AuxiliaryLoss => Averages.AuxiliaryLoss;

    /// <summary>
    /// For each routing operation of the model, how it used its experts: choices, dropped share, variation, entropy; null for a dense
    /// model.
    /// </summary>
    public IReadOnlyList<ExpertLoad>? ExpertLoad => Averages.ExpertLoad;
}

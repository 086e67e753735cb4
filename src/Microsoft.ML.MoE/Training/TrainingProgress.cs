using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Training;

/// <summary>How training stands: reported every few updates and at the end of every epoch.</summary>
public sealed record TrainingProgress
{
    internal TrainingProgress(TrainingAverages averages) => Averages = averages;

    /// <summary>The epoch, from 1.</summary>
    public int Epoch { get; internal init; }

    /// <summary>Epochs that were asked for.</summary>
    public int TotalEpochs { get; internal init; }

    /// <summary>Updates done in all.</summary>
    public int Step { get; internal init; }

    /// <summary>Updates that training will take, unless it stops early; an estimate where the data's length is one.</summary>
    public int TotalSteps { get; internal init; }

    /// <summary>Means since the last report; at the end of an epoch, over the whole epoch.</summary>
    public TrainingAverages Averages { get; }

    /// <summary>Learning rate of the last update.</summary>
    public double LearningRate { get; internal init; }

    /// <summary>Whether this is the end of an epoch.</summary>
    public bool EpochCompleted { get; internal init; }

    /// <summary>At the end of an epoch of a training with validation, its result; otherwise null.</summary>
    public ValidationResult? Validation { get; internal init; }

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

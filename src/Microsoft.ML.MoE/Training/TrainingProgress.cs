using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Training;

/// <summary>How training stands: reported every few updates and at the end of every epoch.</summary>
public sealed record TrainingProgress
{
    /// <summary>The epoch, from 1.</summary>
    public required int Epoch { get; init; }

    /// <summary>Epochs that were asked for.</summary>
    public required int TotalEpochs { get; init; }

    /// <summary>Updates done in all.</summary>
    public required int Step { get; init; }

    /// <summary>Updates that training will take, unless it stops early; an estimate where the data's length is one.</summary>
    public required int TotalSteps { get; init; }

    /// <summary>Means since the last report; at the end of an epoch, over the whole epoch.</summary>
    public required TrainingAverages Averages { get; init; }

    /// <summary>Learning rate of the last update.</summary>
    public required double LearningRate { get; init; }

    /// <summary>Whether this is the end of an epoch.</summary>
    public required bool EpochCompleted { get; init; }

    /// <summary>At the end of an epoch of a training with validation, its result; otherwise null.</summary>
    public ValidationResult? Validation { get; init; }

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

namespace Microsoft.ML.MoE.Training;

/// <summary>Why training ended.</summary>
public enum StopReason
{
    /// <summary>All epochs were done.</summary>
    EpochsCompleted,

    /// <summary><see cref="TrainingOptions.MaxSteps"/> was reached first.</summary>
    StepLimit,

    /// <summary>Validation did not improve for as many epochs as <see cref="TrainingOptions.EarlyStopping"/> allows.</summary>
    EarlyStopping,

    /// <summary><see cref="TrainingOptions.MaxTime"/> was over first.</summary>
    TimeLimit,

    /// <summary>It was cancelled, and <see cref="TrainingOptions.OnCancellation"/> says to return what there is.</summary>
    Cancelled,
}

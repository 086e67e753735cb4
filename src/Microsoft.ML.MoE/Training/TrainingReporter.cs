using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>Says how a training stands, every few updates and after every epoch.</summary>
/// <param name="receiver">Whom it is said to; null for nobody.</param>
/// <param name="interval">Updates between two reports.</param>
/// <param name="position">Where the training stands.</param>
/// <param name="limits">How long it may be.</param>
internal sealed class TrainingReporter(
    Action<TrainingProgress>? receiver, int interval, TrainingPosition position, TrainingLimits limits) : IDisposable
{
    /// <summary>What is reported of the updates.</summary>
    public LossMeter Meter { get; } = new();

    /// <summary>Reports an update, where it is the turn of one.</summary>
    public void ReportStep()
    {
        if (receiver is not null && position.Steps % interval == 0)
            Send(new(position.Epochs.Count + 1, Meter.EndWindow(), position.LearningRate, Validation: null), epochCompleted: false);
    }

    /// <summary>Reports the last epoch.</summary>
    public void ReportEpoch() => Send(position.Epochs[^1], epochCompleted: true);

    public void Dispose() => Meter.Dispose();

    private void Send(EpochSummary summary, bool epochCompleted)
    {
        if (receiver is null)
            return;
        // Tensors that the receiver makes are its own: no dispose scope of the training takes them.
        using var scope = NewDisposeScope();
        try
        {
            receiver(new TrainingProgress(summary.Averages)
            {
                Epoch = summary.Epoch,
                TotalEpochs = limits.Epochs,
                Step = position.Steps,
                TotalSteps = limits.ExpectedSteps,
                LearningRate = summary.LearningRate,
                EpochCompleted = epochCompleted,
                Validation = summary.Validation,
            });
        }
        finally
        {
            scope.Detach(scope.DisposablesView);
        }
    }
}

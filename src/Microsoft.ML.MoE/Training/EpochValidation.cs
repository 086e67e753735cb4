using Microsoft.ML.MoE.Weights;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// Measures the weights after every epoch, or their moving average where there is one, and keeps the best. Without validation it does
/// nothing until the end, where the module gets the average.
/// </summary>
internal sealed class EpochValidation : IDisposable
{
    private readonly Func<CancellationToken, ValidationResult>? validate;
    private readonly WeightAverage? average;
    private readonly BestEpochTracker tracker;
    private readonly WeightSnapshot? bestWeights;

    /// <summary>Makes room for the best weights.</summary>
    /// <param name="module">What is trained.</param>
    /// <param name="options">How.</param>
    /// <param name="validate">Measures the module; null for no validation.</param>
    /// <param name="average">The moving average of its weights, or null; stays the caller's.</param>
    public EpochValidation(
        nn.Module module, TrainingOptions options, Func<CancellationToken, ValidationResult>? validate, WeightAverage? average)
    {
        (this.validate, this.average) = (validate, average);
        tracker = new BestEpochTracker(options.Monitor, options.EarlyStopping);
        bestWeights = validate is not null && options.KeepBestWeights ? new WeightSnapshot(module) : null;
    }

    /// <summary>Whether early stopping is set, and the time to stop has come.</summary>
    public bool PatienceIsOver => tracker.PatienceIsOver;

    /// <summary>When validation takes place, in words.</summary>
    public string Description => validate is null ? "none" : "after every epoch";

    private bool HasBestWeights => bestWeights is not null && tracker.Best is not null;

    /// <summary>Measures an epoch.</summary>
    /// <returns>The epoch with its result.</returns>
    /// <exception cref="OperationCanceledException">The token was cancelled; random generators may have moved on.</exception>
    public EpochSummary Measure(EpochSummary epoch, CancellationToken cancellationToken)
    {
        if (validate is null)
            return epoch;
        using var scope = NewDisposeScope();
        average?.Swap();
        try
        {
            var validation = validate(cancellationToken);
            epoch = epoch with { Validation = validation };
            if (tracker.Add(epoch, validation))
                bestWeights?.Take();
            return epoch;
        }
        finally
        {
            average?.Swap();
        }
    }

    /// <summary>Gives the module the weights that it ends with: the best, or the average of the last.</summary>
    public TrainingResult Finish(TrainingPosition position, StopReason reason)
    {
        if (HasBestWeights)
            bestWeights!.Restore();
        else
            average?.Swap();
        return new TrainingResult(position.Epochs, position.Steps, reason, tracker.Best, HasBestWeights);
    }

    /// <summary>Adds its part to a checkpoint.</summary>
    public BestEpochState Write(TrainingCheckpoint checkpoint)
    {
        if (HasBestWeights)
            checkpoint.Add("best", bestWeights!.Copies);
        return tracker.State;
    }

    /// <summary>Takes its part over from a checkpoint.</summary>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="best">What <see cref="Write"/> returned.</param>
    /// <param name="epochs">The epochs so far.</param>
    public void Restore(TrainingCheckpoint checkpoint, BestEpochState best, IReadOnlyList<EpochSummary> epochs)
    {
        tracker.Restore(best, epochs);
        if (HasBestWeights)
            NamedTensors.Copy(bestWeights!.Copies, checkpoint["best"]);
    }

    public void Dispose() => bestWeights?.Dispose();
}

namespace Microsoft.ML.MoE.Training;

/// <summary>One training, from its first batch, or its last checkpoint, to its end.</summary>
/// <typeparam name="TBatch">A batch; disposed after its step where it is disposable.</typeparam>
internal sealed class TrainingRun<TBatch> : IDisposable
{
    private readonly TrainingLoop<TBatch> loop;
    private readonly IBatchSource<TBatch> data;
    private readonly CancellationToken cancellationToken;
    private readonly TrainingPosition position = new();
    private readonly TrainingLimits limits;
    private readonly TrainingReporter reporter;
    private readonly TrainingStep<TBatch> step;
    private readonly EpochValidation validation;
    private readonly TrainingCheckpoints<TBatch> checkpoints;

    /// <summary>Prepares a training; see <see cref="TrainingLoop{TBatch}.Run"/>.</summary>
    public TrainingRun(
        TrainingLoop<TBatch> loop,
        IBatchSource<TBatch> data,
        Func<CancellationToken, ValidationResult>? validate,
        Action<TrainingProgress>? progress,
        CancellationToken cancellationToken)
    {
        (this.loop, this.data, this.cancellationToken) = (loop, data, cancellationToken);
        limits = new TrainingLimits(loop.Options, data.BatchesPerEpoch, position, loop.Clock);
        reporter = new TrainingReporter(progress, loop.Options.ProgressInterval, position, limits);
        step = new TrainingStep<TBatch>(loop, position, limits, reporter.Meter);
        validation = new EpochValidation(loop.Module, loop.Options, validate, step.Average);
        checkpoints = new TrainingCheckpoints<TBatch>(loop, position, limits, step, validation, reporter.Meter);
    }

    private CheckpointOptions? Checkpointing => loop.Options.Checkpoints;

    public TrainingResult Run()
    {
        checkpoints.Resume();
        try
        {
            var reason = limits.EndReason(validation.PatienceIsOver);   // one that is continued may have been at its end
            while (reason is null)
            {
                TrainEpoch();
                EndEpoch();
                reason = limits.EndReason(validation.PatienceIsOver);
                if (reason is not null || position.Epochs.Count % Checkpointing?.EveryEpochs == 0)
                    checkpoints.Save();
            }
            return validation.Finish(position, reason.Value);
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            if (!position.WithinBatch)
                checkpoints.Save();
            if (loop.Options.OnCancellation == CancellationBehavior.Throw || position.Steps == 0)
                throw;
            return validation.Finish(position, StopReason.Cancelled);
        }
    }

    private void TrainEpoch()
    {
        loop.Module.train();
        if (position.Batches == 0)
            reporter.Meter.StartEpoch();
        else if (limits.Reached)
            return;   // the epoch was at its end when it was written down

        foreach (var batch in ReadBatches())
        {
            TrainOn(batch);
            if (step.IsPending)
                continue;
            reporter.ReportStep();
            if (position.Steps % Checkpointing?.EverySteps == 0)
                checkpoints.Save();
            if (limits.Reached)
                break;
        }
    }

    private IEnumerable<TBatch> ReadBatches() =>
        position.Batches == 0
            ? data.ReadEpoch(position.Epochs.Count, cancellationToken)
            : data.ReadEpoch(position.Epochs.Count, position.Batches, cancellationToken);

    private void TrainOn(TBatch batch)
    {
        try
        {
            cancellationToken.ThrowIfCancellationRequested();
            position.WithinBatch = true;
            step.Accumulate(batch);
        }
        finally
        {
            (batch as IDisposable)?.Dispose();
        }

        position.Batches++;
        if (step.IsComplete)
            step.Update();
        position.WithinBatch = false;
    }

    private void EndEpoch()
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (step.IsPending)
            step.Update();   // with fewer batches than the others
        int epoch = position.Epochs.Count + 1;
        if (position.Batches == 0)
            throw new InvalidOperationException(
                $"The training data has no rows{(epoch == 1 ? "" : $" in epoch {epoch}")}: at least one batch is wanted.");

        var summary = new EpochSummary(epoch, reporter.Meter.EndEpoch(), position.LearningRate, Validation: null);
        position.Epochs.Add(checkpoints.Repeatably(() => validation.Measure(summary, cancellationToken)));
        position.Batches = 0;
        reporter.ReportEpoch();
    }

    public void Dispose()
    {
        checkpoints.Dispose();
        step.Dispose();
        reporter.Dispose();
        validation.Dispose();
    }
}

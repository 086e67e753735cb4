namespace Microsoft.ML.MoE.Training;

/// <summary>How long a training may be, in epochs, updates and time, and how much of that is over.</summary>
internal sealed class TrainingLimits
{
    private readonly TrainingOptions options;
    private readonly TrainingPosition position;
    private readonly TimeProvider clock;
    private readonly long start;
    private TimeSpan before;   // what a training that is continued had taken

    /// <summary>Starts the clock.</summary>
    /// <param name="options">What the limits are; settled.</param>
    /// <param name="batchesPerEpoch">Batches of an epoch; null where that is not known.</param>
    /// <param name="position">Where the training stands.</param>
    /// <param name="clock">What time is measured with.</param>
    /// <exception cref="InvalidOperationException">Nothing tells how many updates there will be.</exception>
    public TrainingLimits(TrainingOptions options, int? batchesPerEpoch, TrainingPosition position, TimeProvider clock)
    {
        (this.options, this.position, this.clock) = (options, position, clock);
        start = clock.GetTimestamp();
        Epochs = options.Epochs!.Value;
        TotalSteps = CountSteps(batchesPerEpoch);
    }

    /// <summary>The epochs.</summary>
    public int Epochs { get; }

    /// <summary>The updates, were there no limit of time.</summary>
    public int TotalSteps { get; }

    /// <summary>What the training will take at the speed so far.</summary>
    public int ExpectedSteps =>
        TimePassed is > 0 and var passed ? Math.Max(position.Steps, (int)Math.Min(TotalSteps, position.Steps / passed)) : TotalSteps;

    /// <summary>
    /// Where the next update stands in the schedule. Slower than the time allows, a step of the schedule is less than one update.
    /// </summary>
    public int ScheduleStep => Math.Max(position.Steps, (int)(TimePassed * TotalSteps));

    /// <summary>How long the training has taken.</summary>
    public TimeSpan Elapsed => before + clock.GetElapsedTime(start);

    /// <summary>Whether the updates or the time are over, which ends an epoch before its last batch.</summary>
    public bool Reached => StepsAreOver || TimeIsOver;

    private bool StepsAreOver => position.Steps >= options.MaxSteps;

    private bool TimeIsOver => TimePassed >= 1;

    // 0 where there is no limit.
    private double TimePassed => options.MaxTime is { } limit ? Elapsed / limit : 0;

    /// <summary>Goes on from a time that the training has taken before.</summary>
    public void Continue(TimeSpan elapsed) => before = elapsed;

    /// <summary>Why the training ends after the epochs so far; null where it goes on.</summary>
    /// <param name="patienceIsOver">Whether validation has become no better for too long.</param>
    public StopReason? EndReason(bool patienceIsOver)
    {
        if (position.Epochs.Count == 0 || position.Batches > 0)
            return null;
        return patienceIsOver ? StopReason.EarlyStopping
            : position.Epochs.Count == Epochs ? StopReason.EpochsCompleted
            : StepsAreOver ? StopReason.StepLimit
            : TimeIsOver ? StopReason.TimeLimit
            : null;
    }

    private int CountSteps(int? batchesPerEpoch)
    {
        long? all = batchesPerEpoch is { } perEpoch
            ? ((long)perEpoch + options.GradientAccumulation - 1) / options.GradientAccumulation * Epochs
            : null;
        if (all is null && options.MaxSteps is null)
        {
            throw new InvalidOperationException(
                "The batch source does not know how many batches an epoch has, so the learning rate cannot be laid out over the "
                    + $"training: set {nameof(TrainingOptions.MaxSteps)}.");
        }
        return (int)Math.Clamp(Math.Min(all ?? int.MaxValue, options.MaxSteps ?? int.MaxValue), 1, int.MaxValue);
    }
}

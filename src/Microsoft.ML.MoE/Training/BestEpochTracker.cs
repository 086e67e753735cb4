namespace Microsoft.ML.MoE.Training;

/// <summary>Knows the best epoch so far, and when patience has run out.</summary>
internal sealed class BestEpochTracker(MonitoredQuantity monitor, EarlyStopping? earlyStopping)
{
    private double best = double.NegativeInfinity;   // "higher is better" from here on
    private double reference = double.NegativeInfinity;
    private int epochsWithoutImprovement;

    public EpochSummary? Best { get; private set; }

    public bool PatienceIsOver => earlyStopping is not null && epochsWithoutImprovement >= earlyStopping.Patience;

    /// <summary>What a checkpoint keeps.</summary>
    public BestEpochState State => new(Best?.Epoch, best, reference, epochsWithoutImprovement);

    /// <summary>Goes on from a state.</summary>
    /// <param name="state">The state.</param>
    /// <param name="epochs">The epochs so far.</param>
    public void Restore(BestEpochState state, IReadOnlyList<EpochSummary> epochs)
    {
        (best, reference, epochsWithoutImprovement) = (state.Score, state.Reference, state.EpochsWithoutImprovement);
        Best = state.Epoch is { } number ? epochs[number - 1] : null;
    }

    /// <summary>Takes an epoch in; true where it is the best so far. A metric that is NaN is never better.</summary>
    public bool Add(EpochSummary epoch, ValidationResult validation)
    {
        double score =
            monitor == MonitoredQuantity.Loss ? -validation.Loss
            : validation.HigherIsBetter ? validation.Metric
            : -validation.Metric;

        // Small gains add up: the reference moves only when one exceeds the threshold.
        if (score > reference + (earlyStopping?.MinDelta ?? 0))
            (reference, epochsWithoutImprovement) = (score, 0);
        else
            epochsWithoutImprovement++;

        if (!(score > best))
            return false;
        (best, Best) = (score, epoch);
        return true;
    }
}

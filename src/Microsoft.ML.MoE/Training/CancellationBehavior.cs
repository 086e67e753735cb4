namespace Microsoft.ML.MoE.Training;

/// <summary>What a training does when it is cancelled.</summary>
public enum CancellationBehavior
{
    /// <summary>It throws an <see cref="OperationCanceledException"/>.</summary>
    Throw,

    /// <summary>
    /// It ends with the weights that it would keep if it were over: those of the best validated epoch, without one their moving average,
    /// without that the last. Before the first update it throws.
    /// </summary>
    ReturnBest,
}

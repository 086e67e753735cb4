namespace Microsoft.ML.MoE.Training;

/// <summary>Where training batches come from.</summary>
/// <typeparam name="TBatch">A batch; whoever reads one owns it and disposes it where it is disposable.</typeparam>
public interface IBatchSource<TBatch>
{
    /// <summary>Batches of an epoch, where that is known before reading; it may be an estimate. Schedules are laid out with it.</summary>
    int? BatchesPerEpoch { get; }

    /// <summary>Reads the batches of one epoch, in that epoch's order.</summary>
    /// <param name="epoch">Epoch from 0; a shuffling source draws another order for each.</param>
    /// <param name="cancellationToken">Stops the reading with an <see cref="OperationCanceledException"/>.</param>
    IEnumerable<TBatch> ReadEpoch(int epoch, CancellationToken cancellationToken);
}

namespace Microsoft.ML.MoE.Training;

/// <summary>Where training batches come from.</summary>
/// <typeparam name="TBatch">A batch; whoever reads one owns it and disposes it where it is disposable.</typeparam>
internal interface IBatchSource<TBatch>
{
    /// <summary>Batches of an epoch, where that is known before reading; it may be an estimate. Schedules are laid out with it.</summary>
    int? BatchesPerEpoch { get; }

    /// <summary>Reads the batches of one epoch, in that epoch's order.</summary>
    /// <param name="epoch">Epoch from 0; a shuffling source draws another order for each.</param>
    /// <param name="cancellationToken">Stops the reading with an <see cref="OperationCanceledException"/>.</param>
    IEnumerable<TBatch> ReadEpoch(int epoch, CancellationToken cancellationToken);

    /// <summary>Reads the batches of one epoch but for the first ones, for a training that goes on in the middle of it.</summary>
    /// <param name="epoch">Epoch from 0.</param>
    /// <param name="skip">How many batches to leave out. A source that can do so without making them should.</param>
    /// <param name="cancellationToken">Stops the reading with an <see cref="OperationCanceledException"/>.</param>
    IEnumerable<TBatch> ReadEpoch(int epoch, int skip, CancellationToken cancellationToken)
    {
        foreach (var batch in ReadEpoch(epoch, cancellationToken))
        {
            if (skip-- <= 0)
                yield return batch;
            else
                (batch as IDisposable)?.Dispose();
        }
    }
}

using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A token that is cancelled by the user's token or by <c>MLContext.CancelExecution</c>. The context can only be asked: it is asked
/// whenever a batch is taken.
/// </summary>
internal sealed class HostCancellation(IHost host, CancellationToken token) : IDisposable
{
    private readonly CancellationTokenSource source = CancellationTokenSource.CreateLinkedTokenSource(token);

    /// <summary>The token.</summary>
    public CancellationToken Token => source.Token;

    /// <summary>The same batches; the context is asked before each.</summary>
    public IBatchSource<T> Watch<T>(IBatchSource<T> batches) => new WatchedSource<T>(this, batches);

    /// <summary>The same items; the context is asked before each.</summary>
    public IEnumerable<T> Watch<T>(IEnumerable<T> items)
    {
        foreach (var item in items)
        {
            if ((host as ICancelable)?.IsCanceled == true)
                source.Cancel();
            yield return item;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => source.Dispose();

    private sealed class WatchedSource<T>(HostCancellation cancellation, IBatchSource<T> batches) : IBatchSource<T>
    {
        public int? BatchesPerEpoch => batches.BatchesPerEpoch;

        public IEnumerable<T> ReadEpoch(int epoch, CancellationToken cancellationToken) =>
            cancellation.Watch(batches.ReadEpoch(epoch, cancellationToken));

        public IEnumerable<T> ReadEpoch(int epoch, int skip, CancellationToken cancellationToken) =>
            cancellation.Watch(batches.ReadEpoch(epoch, skip, cancellationToken));
    }
}

using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// Reads ahead on a background thread, so that batches are made while the model works. The order stays; an exception arrives after the
/// batches that came before it. Leaving an epoch early ends the thread and disposes the batches that nobody took.
/// </summary>
/// <typeparam name="TBatch">A batch.</typeparam>
/// <remarks>
/// The background thread's operations take as many threads as the consumer's. Tensors made on the background thread belong to none of the
/// consumer's dispose scopes: the consumer disposes each batch.
/// </remarks>
internal sealed class PrefetchingBatchSource<TBatch> : IBatchSource<TBatch>
{
    private readonly IBatchSource<TBatch> source;
    private readonly int lookAhead;

    /// <summary>Puts a look-ahead before a source.</summary>
    /// <param name="source">What to read; used from one thread at a time, and never from the consumer's.</param>
    /// <param name="lookAhead">Batches that are made, or being made, before they are asked for; at least 1.</param>
    /// <exception cref="ArgumentException">The look-ahead is below 1.</exception>
    public PrefetchingBatchSource(IBatchSource<TBatch> source, int lookAhead = 2)
    {
        ArgumentNullException.ThrowIfNull(source);
        OptionChecks.AtLeast(1, lookAhead, nameof(lookAhead));
        this.source = source;
        this.lookAhead = lookAhead;
    }

    /// <inheritdoc/>
    public int? BatchesPerEpoch => source.BatchesPerEpoch;

    /// <inheritdoc/>
    public IEnumerable<TBatch> ReadEpoch(int epoch, CancellationToken cancellationToken) => ReadEpoch(epoch, skip: 0, cancellationToken);

    /// <inheritdoc/>
    public IEnumerable<TBatch> ReadEpoch(int epoch, int skip, CancellationToken cancellationToken)
    {
        using var reader = new Reader(token => source.ReadEpoch(epoch, skip, token), lookAhead, cancellationToken);
        while (reader.TryTake(out var batch))
            yield return batch;
    }

    private sealed class Reader : IDisposable
    {
        private readonly CancellationToken cancellationToken;
        private readonly CancellationTokenSource stop;
        private readonly SemaphoreSlim free;   // batches that may still be made
        private readonly BlockingCollection<TBatch> ready = [];
        private readonly Thread thread;
        private ExceptionDispatchInfo? failure;   // written before `ready` is completed, read after

        public Reader(Func<CancellationToken, IEnumerable<TBatch>> open, int lookAhead, CancellationToken cancellationToken)
        {
            this.cancellationToken = cancellationToken;
            stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
            free = new SemaphoreSlim(lookAhead);
            TorchRuntime.Initialize();
            var threads = torch.get_num_threads();   // of operations: the number is each thread's own, and a training told how many
            thread = new Thread(() => Read(open, threads)) { IsBackground = true, Name = "Batch reader" };
            thread.Start();
        }

        public bool TryTake(out TBatch batch)
        {
            if (ready.TryTake(out batch!, Timeout.Infinite, cancellationToken))
            {
                free.Release();
                return true;
            }
            cancellationToken.ThrowIfCancellationRequested();
            failure?.Throw();
            return false;
        }

        public void Dispose()
        {
            stop.Cancel();
            thread.Join();
            while (ready.TryTake(out var batch))
                (batch as IDisposable)?.Dispose();
            ready.Dispose();
            free.Dispose();
            stop.Dispose();
        }

        private void Read(Func<CancellationToken, IEnumerable<TBatch>> open, int threads)
        {
            try
            {
                using var threadScope = new ThreadScope(threads);
                using var batches = open(stop.Token).GetEnumerator();
                while (true)
                {
                    free.Wait(stop.Token);   // before the batch is made, so that no more than the look-ahead exist
                    if (!batches.MoveNext())
                        break;
                    ready.Add(batches.Current, CancellationToken.None);
                }
            }
            catch (OperationCanceledException) when (stop.IsCancellationRequested)
            {
                // The consumer has left, or its own token tells it.
            }
#pragma warning disable CA1031 // Whatever the source throws is the consumer's to handle: on this thread it would end the process.
            catch (Exception exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
#pragma warning restore CA1031
            finally
            {
                ready.CompleteAdding();
            }
        }
    }
}

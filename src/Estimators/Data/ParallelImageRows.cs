using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Reads all rows on several threads, each with a cursor of its own over a part of them, and gives them out in the order of the data.
/// Pictures are decoded where their rows are read, so that a pass takes as many times less as there are processors.
/// </summary>
/// <remarks>
/// The cursors are those of <c>GetRowCursorSet</c>: the rows of one batch are in one cursor, and batches are numbered in the order of the
/// data. Where the data give one cursor only, one thread reads.
/// </remarks>
internal sealed class ParallelImageRows : IImageRows
{
    private const int RowsPerBlock = 16;
    private const int BlocksAhead = 2;   // of each thread

    private readonly CancellationTokenSource stop = new();
    private readonly BlockingCollection<Block>[] queues;
    private readonly Block?[] heads;
    private readonly Task[] workers;
    private readonly ConcurrentBag<byte[]> buffers = [];
    private Block? block;
    private int place;
    private byte[]? current;

    /// <param name="data">What to read.</param>
    /// <param name="cursors">Cursors over parts of it.</param>
    private ParallelImageRows(ImageData data, DataViewRowCursor[] cursors)
    {
        Unreadable = new(data.Images.Name);
        queues = Array.ConvertAll(cursors, _ => new BlockingCollection<Block>(BlocksAhead));
        heads = new Block?[cursors.Length];
        // Threads of their own: all must run at once, or one waits for rows that another has to take out of its way.
        workers = [.. cursors.Zip(queues, (cursor, queue) => Task.Factory.StartNew(
            () => Read(data, cursor, queue), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default))];
    }

    /// <inheritdoc/>
    public ImageExample Current { get; private set; }

    /// <inheritdoc/>
    public int RowNumber { get; private set; } = -1;

    /// <inheritdoc/>
    public long MissingLabels { get; private set; }

    /// <inheritdoc/>
    public UnreadableImages Unreadable { get; }

    /// <summary>Opens the rows of data with pictures, on several threads if the data can be read so.</summary>
    /// <param name="data">What to read.</param>
    /// <param name="threads">Threads at most.</param>
    public static IImageRows Open(ImageData data, int threads)
    {
        // A weight that is wrong is named with its row, which a cursor over a part of the data does not know.
        if (threads < 2 || data.Images.Type.Kind != ImageColumnKind.Image || data.Weights is not null)
            return data.Open();
        var cursors = data.View.GetRowCursorSet(data.Columns, threads);
        return cursors.Length == 1 ? new ImageRows(data, cursors[0], crops: null) : new ParallelImageRows(data, cursors);
    }

    /// <inheritdoc/>
    public bool MoveNext(CancellationToken cancellationToken)
    {
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (block is null || place == block.Rows.Count)
            {
                block?.Failure?.Throw();
                if (!NextBlock(cancellationToken))
                    return false;
                continue;
            }

            var row = block.Rows[place++];
            RowNumber = checked(RowNumber + 1);
            if (row.Label is not { } label)
            {
                MissingLabels++;
            }
            else if (row.Pixels is null)
            {
                Unreadable.Add(row.Failure);
            }
            else
            {
                if (current is not null)
                    buffers.Add(current);
                current = row.Pixels;
                Current = new(current, label, RowNumber);
                return true;
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        stop.Cancel();
        Task.WaitAll(workers);   // they throw nothing
        foreach (var queue in queues)
            queue.Dispose();
        stop.Dispose();
    }

    // The next block is that of the lowest batch: every thread's next one must be known.
    private bool NextBlock(CancellationToken cancellationToken)
    {
        for (var i = 0; i < queues.Length; i++)
        {
            if (heads[i] is null && queues[i].TryTake(out var next, Timeout.Infinite, cancellationToken))
                heads[i] = next;
        }
        var first = -1;
        for (var i = 0; i < heads.Length; i++)
        {
            if (heads[i] is { } head && (first < 0 || head.Batch < heads[first]!.Batch))
                first = i;
        }
        if (first < 0)
            return false;
        (block, place, heads[first]) = (heads[first], 0, null);
        return true;
    }

    private void Read(ImageData data, DataViewRowCursor cursor, BlockingCollection<Block> queue)
    {
        Block? filling = null;
        var batch = 0L;
        try
        {
            using (cursor)
            {
                var readLabel = data.Labels is null ? static () => 0 : data.Labels.OpenReader(cursor);
                var reader = data.Images.OpenReader(cursor);
                while (!stop.IsCancellationRequested && cursor.MoveNext())
                {
                    if (filling is not null && (filling.Batch != cursor.Batch || filling.Rows.Count == RowsPerBlock))
                    {
                        queue.Add(filling, stop.Token);
                        filling = null;
                    }
                    batch = cursor.Batch;
                    filling ??= new(batch);
                    filling.Rows.Add(ReadRow(readLabel(), reader));
                }
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return;   // nobody reads any more
        }
#pragma warning disable CA1031 // Whatever it is, whoever reads the rows gets it.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            filling ??= new(batch);
            filling.Failure = ExceptionDispatchInfo.Capture(exception);
        }
        try
        {
            if (filling is not null)
                queue.Add(filling, stop.Token);
        }
        catch (OperationCanceledException)
        {
            // As above.
        }
        queue.CompleteAdding();
    }

    private Row ReadRow(int? label, ImageReader reader)
    {
        if (label is null)
            return new(null, null, null);
        if (!buffers.TryTake(out var pixels))
            pixels = new byte[reader.ByteCount];
        if (reader.TryRead(pixels))
            return new(label, pixels, null);
        buffers.Add(pixels);
        var one = new UnreadableImages("");
        one.Take(reader.Unreadable);
        return new(label, null, one.FirstFailure);
    }

    private readonly record struct Row(int? Label, byte[]? Pixels, string? Failure);

    private sealed class Block(long batch)
    {
        public long Batch => batch;

        public List<Row> Rows { get; } = new(RowsPerBlock);

        public ExceptionDispatchInfo? Failure { get; set; }
    }
}

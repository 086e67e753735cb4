using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Reads a block of rows ahead, keeps what is asked of them, and scores the block in one forward pass when the first score is asked for.
/// Rows come out in the order in which they went in, with the ids and batch numbers they had.
/// </summary>
/// <remarks>
/// Blocks grow from one row to the full size, so that looking at the first row of a data view does not cost a whole block. Where rows take
/// long to read (pictures are decoded), the next block is read on another thread while this one is scored and used. What goes wrong in a
/// row read ahead is thrown when its turn comes, after the rows before it.
/// </remarks>
internal sealed class LookAheadCursor : RootCursorBase
{
    private readonly DataViewRowCursor input;
    private readonly ColumnBindings bindings;
    private readonly bool[] active;
    private readonly RowBuffer[] buffers;   // two take turns where the next block is read on another thread
    private readonly int largestBlock;
    private readonly CancellationTokenSource stop = new();

    private int blockSize;
    private int turn;
    private Task? reading;
    private int place = -1;
    private bool disposed;

    public LookAheadCursor(
        IChannelProvider provider,
        DataViewRowCursor input,
        DataViewSchema schema,
        ColumnBindings bindings,
        bool[] active,
        IRowBlock block,
        int largestBlock)
        : base(provider)
    {
        Schema = schema;
        this.input = input;
        this.bindings = bindings;
        this.active = active;
        this.largestBlock = largestBlock;
        var sources = new List<int>();
        for (var index = 0; index < active.Length; index++)
        {
            var source = bindings.MapColumnIndex(out var isSource, index);
            if (active[index] && isSource)
                sources.Add(source);
        }
        buffers = block.CreateTwin() is { } twin ? [new(input, sources, block), new(input, sources, twin)] : [new(input, sources, block)];
    }

    private RowBuffer Current => buffers[turn];

    /// <inheritdoc/>
    public override DataViewSchema Schema { get; }

    /// <inheritdoc/>
    public override long Batch => place >= 0 ? Current.Batch(place) : 0;

    /// <inheritdoc/>
    public override bool IsColumnActive(DataViewSchema.Column column) => active[column.Index];

    /// <inheritdoc/>
    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId value) => value = Current.Id(Place());

    /// <inheritdoc/>
    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        if (column.Index >= active.Length || !active[column.Index])
            throw Ch.ExceptParam(nameof(column), $"Column '{column.Name}' is not active in this cursor.");

        var index = bindings.MapColumnIndex(out var isSource, column.Index);
        var getters = Array.ConvertAll(buffers, buffer =>
            isSource ? buffer.CreateInputGetter(index, Place) : buffer.CreateAddedGetter(index, Place));
        if (getters[0] is not ValueGetter<TValue>)
            throw Ch.Except(
                $"Column '{column.Name}' has values of the type {getters[0].GetType().GetGenericArguments()[0]}; {typeof(TValue)} was "
                    + "asked for.");
        var typed = Array.ConvertAll(getters, getter => (ValueGetter<TValue>)getter);
        return typed.Length == 1 ? typed[0] : (ref TValue value) => typed[turn](ref value);
    }

    /// <inheritdoc/>
    protected override bool MoveNextCore()
    {
        place++;
        while (place >= Current.Count)
        {
            place = -1;
            Current.Failure?.Throw();
            if (Current.InputEnded)
                return false;
            TakeNextBlock();
            place = 0;
        }
        return true;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposed)
            return;
        if (disposing)
        {
            place = -1;
            stop.Cancel();
            reading?.Wait();   // for the row that is being read
            foreach (var buffer in buffers)
                buffer.Dispose();
            input.Dispose();
            stop.Dispose();
        }
        disposed = true;
        base.Dispose(disposing);
    }

    private int Place() =>
        place >= 0 ? place : throw Ch.Except("The cursor is not at a row: call MoveNext first, and stop when it returns false.");

    private void TakeNextBlock()
    {
        if (reading is null)
        {
            Current.Read(NextSize(), stop.Token);
        }
        else
        {
            reading.Wait();
            reading = null;
            turn = 1 - turn;
        }

        if (buffers.Length == 1 || Current.InputEnded || Current.Failure is not null)
            return;
        var (next, size) = (buffers[1 - turn], NextSize());
        reading = Task.Run(() => next.Read(size, stop.Token));
    }

    private int NextSize() => blockSize = Math.Clamp(blockSize * 2, 1, largestBlock);
}

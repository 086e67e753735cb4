using System.Runtime.ExceptionServices;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Reads a block of rows ahead, keeps what is asked of them, and scores the block in one forward pass when the first score is asked for. Rows come out in the order in which
/// they went in, with the ids and batch numbers they had.
/// </summary>
/// <remarks>
/// Blocks grow from one row to the full size, so that looking at the first row of a data view does not cost a whole block. What goes wrong in a row read ahead is thrown when
/// its turn comes, after the rows before it.
/// </remarks>
internal sealed class LookAheadCursor : RootCursorBase
{
    private readonly DataViewRowCursor input;
    private readonly ColumnBindings bindings;
    private readonly bool[] active;
    private readonly IRowBlock block;
    private readonly Dictionary<int, BufferedColumn> buffered = [];
    private readonly ValueGetter<DataViewRowId> inputId;
    private readonly int largestBlock;

    private int blockSize;
    private DataViewRowId[] ids = [];
    private long[] batches = [];
    private int place = -1;
    private bool inputEnded;
    private ExceptionDispatchInfo? failure;
    private bool disposed;

    public LookAheadCursor(
        IChannelProvider provider, DataViewRowCursor input, DataViewSchema schema, ColumnBindings bindings, bool[] active, IRowBlock block, int largestBlock)
        : base(provider)
    {
        Schema = schema;
        this.input = input;
        this.bindings = bindings;
        this.active = active;
        this.block = block;
        this.largestBlock = largestBlock;
        inputId = input.GetIdGetter();
        for (var index = 0; index < active.Length; index++)
        {
            var source = bindings.MapColumnIndex(out var isSource, index);
            if (active[index] && isSource)
                buffered.Add(source, BufferedColumn.Create(input, input.Schema[source]));
        }
    }

    /// <inheritdoc/>
    public override DataViewSchema Schema { get; }

    /// <inheritdoc/>
    public override long Batch => place >= 0 ? batches[place] : 0;

    /// <inheritdoc/>
    public override bool IsColumnActive(DataViewSchema.Column column) => active[column.Index];

    /// <inheritdoc/>
    public override ValueGetter<DataViewRowId> GetIdGetter() => (ref DataViewRowId value) => value = ids[Place()];

    /// <inheritdoc/>
    public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
    {
        if (column.Index >= active.Length || !active[column.Index])
            throw Ch.ExceptParam(nameof(column), $"Column '{column.Name}' is not active in this cursor.");

        var index = bindings.MapColumnIndex(out var isSource, column.Index);
        var getter = isSource ? buffered[index].CreateGetter(Place) : block.CreateGetter(index, Place);
        return getter as ValueGetter<TValue>
            ?? throw Ch.Except($"Column '{column.Name}' has values of the type {getter.GetType().GetGenericArguments()[0]}; {typeof(TValue)} was asked for.");
    }

    /// <inheritdoc/>
    protected override bool MoveNextCore()
    {
        if (place + 1 >= block.Count)
            ReadBlock();
        if (block.Count == 0)
        {
            failure?.Throw();
            return false;
        }
        place++;
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
            block.Dispose();
            input.Dispose();
        }
        disposed = true;
        base.Dispose(disposing);
    }

    private int Place() => place >= 0 ? place : throw Ch.Except("The cursor is not at a row: call MoveNext first, and stop when it returns false.");

    private void ReadBlock()
    {
        place = -1;
        blockSize = Math.Clamp(blockSize * 2, 1, largestBlock);
        block.Reset(blockSize);
        if (ids.Length < blockSize)
        {
            ids = new DataViewRowId[blockSize];
            batches = new long[blockSize];
            foreach (var column in buffered.Values)
                column.Reserve(blockSize);
        }

        try
        {
            while (!inputEnded && failure is null && block.Count < blockSize)
            {
                if (input.MoveNext())
                    ReadRow();
                else
                    inputEnded = true;
            }
        }
#pragma warning disable CA1031 // Thrown again, in its turn.
        catch (Exception exception)
        {
            failure = ExceptionDispatchInfo.Capture(exception);
        }
#pragma warning restore CA1031
    }

    private void ReadRow()
    {
        var index = block.Count;
        inputId(ref ids[index]);
        batches[index] = input.Batch;
        foreach (var column in buffered.Values)
            column.Store(index);
        block.Add();   // last: only a row that has been read completely counts
    }
}

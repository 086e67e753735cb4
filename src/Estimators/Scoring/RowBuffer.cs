using System.Runtime.ExceptionServices;
using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A block of rows that a cursor has moved over: what the model needs of them, and the other values that will be asked for.
/// </summary>
/// <remarks>Used by one thread at a time. What goes wrong in a row is kept until its turn comes, after the rows before it.</remarks>
internal sealed class RowBuffer : IDisposable
{
    private readonly DataViewRowCursor input;
    private readonly ValueGetter<DataViewRowId> inputId;
    private readonly Dictionary<int, BufferedColumn> columns;
    private readonly IRowBlock block;
    private DataViewRowId[] ids = [];
    private long[] batches = [];

    /// <summary>Makes an empty buffer.</summary>
    /// <param name="input">The cursor to read.</param>
    /// <param name="columns">The columns, by position, whose values are kept.</param>
    /// <param name="block">What the model scores; the buffer's from here on.</param>
    public RowBuffer(DataViewRowCursor input, IEnumerable<int> columns, IRowBlock block)
    {
        this.input = input;
        this.block = block;
        inputId = input.GetIdGetter();
        this.columns = columns.ToDictionary(column => column, column => BufferedColumn.Create(input, input.Schema[column]));
    }

    /// <summary>Rows in the buffer.</summary>
    public int Count => block.Count;

    /// <summary>Whether there are no rows after these.</summary>
    public bool InputEnded { get; private set; }

    /// <summary>What went wrong in the row after these; null for nothing.</summary>
    public ExceptionDispatchInfo? Failure { get; private set; }

    /// <summary>Drops the rows and reads the next ones.</summary>
    /// <param name="size">How many, unless the input ends.</param>
    /// <param name="stop">Stops between two rows.</param>
    public void Read(int size, CancellationToken stop)
    {
        try
        {
            block.Reset(size);
            if (ids.Length < size)
            {
                ids = new DataViewRowId[size];
                batches = new long[size];
                foreach (var column in columns.Values)
                    column.Reserve(size);
            }

            while (block.Count < size && !stop.IsCancellationRequested)
            {
                if (!input.MoveNext())
                {
                    InputEnded = true;
                    return;
                }
                ReadRow();
            }
        }
#pragma warning disable CA1031 // Thrown again, in its turn.
        catch (Exception exception)
        {
            Failure = ExceptionDispatchInfo.Capture(exception);
        }
#pragma warning restore CA1031
    }

    /// <summary>The id that a row had.</summary>
    public DataViewRowId Id(int place) => ids[place];

    /// <summary>The batch number that a row had.</summary>
    public long Batch(int place) => batches[place];

    /// <summary>
    /// A getter (<see cref="ValueGetter{TValue}"/>) of a column of the input, for the row at the place that <paramref name="current"/>
    /// tells.
    /// </summary>
    public Delegate CreateInputGetter(int column, Func<int> current) => columns[column].CreateGetter(current);

    /// <summary>A getter of an added column.</summary>
    public Delegate CreateAddedGetter(int column, Func<int> current) => block.GetColumn(column).CreateGetter(current);

    /// <inheritdoc/>
    public void Dispose() => block.Dispose();

    private void ReadRow()
    {
        var index = block.Count;
        inputId(ref ids[index]);
        batches[index] = input.Batch;
        foreach (var column in columns.Values)
            column.Store(index);
        block.Add();   // last: only a row that has been read completely counts
    }
}

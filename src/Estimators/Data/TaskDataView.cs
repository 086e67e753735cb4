using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// The rows of several data views one after the other, with a column that names the view; rows lack the columns that only other views have:
/// empty text, a missing picture or key, NaN; 0 in types without it.
/// </summary>
internal sealed class TaskDataView : IDataView
{
    private readonly IHost host;
    private readonly (string Task, IDataView Data)[] parts;
    private readonly string taskColumn;

    public TaskDataView(IHostEnvironment environment, string taskColumn, (string Task, IDataView Data)[] parts)
    {
        host = environment.Register(nameof(TaskDataView));
        (this.parts, this.taskColumn) = (parts, taskColumn);
        var builder = new DataViewSchema.Builder();
        builder.AddColumn(taskColumn, TextDataViewType.Instance);
        var byName = parts
            .SelectMany(part => part.Data.Schema.Where(column => !column.IsHidden).Select(column => (part.Task, Column: column)))
            .GroupBy(pair => pair.Column.Name);
        foreach (var columns in byName)
        {
            var (task, column) = columns.First();
            if (columns.Key == taskColumn)
                throw new ArgumentException(
                    $"The data of task '{task}' have a column '{taskColumn}' already; the column with the tasks must have another name.");
            if (columns.FirstOrDefault(pair => !pair.Column.Type.Equals(column.Type)) is { Task: { } other } differing)
                throw new ArgumentException(
                    $"Column '{columns.Key}' is {column.Type} in the data of task '{task}' and {differing.Column.Type} in those of task "
                        + $"'{other}'; it must be the same in all.");
            builder.AddColumn(columns.Key, column.Type, ColumnAnnotations.Common([.. columns]));
        }
        Schema = builder.ToSchema();
    }

    /// <inheritdoc/>
    public bool CanShuffle => false;

    /// <inheritdoc/>
    public DataViewSchema Schema { get; }

    /// <inheritdoc/>
    public long? GetRowCount() => parts.Aggregate((long?)0, (sum, part) => sum + part.Data.GetRowCount());

    /// <inheritdoc/>
    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        new Cursor(host, this, [.. columnsNeeded.Select(column => column.Name)]);

    /// <inheritdoc/>
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        [GetRowCursor(columnsNeeded, rand)];

    private sealed class Cursor(IChannelProvider provider, TaskDataView view, HashSet<string> active) : RootCursorBase(provider)
    {
        private int part = -1;
        private DataViewRowCursor? current;
        private bool disposed;

        public override DataViewSchema Schema => view.Schema;

        public override long Batch => 0;

        public override bool IsColumnActive(DataViewSchema.Column column) => active.Contains(column.Name);

        public override ValueGetter<DataViewRowId> GetIdGetter() =>
            (ref DataViewRowId value) => value = new DataViewRowId((ulong)Position, 0);

        public override ValueGetter<TValue> GetGetter<TValue>(DataViewSchema.Column column)
        {
            if (!active.Contains(column.Name))
                throw Ch.ExceptParam(nameof(column), $"Column '{column.Name}' is not active in this cursor.");
            if (column.Type.RawType != typeof(TValue))
                throw Ch.Except($"Column '{column.Name}' has values of the type {column.Type.RawType}; {typeof(TValue)} was asked for.");
            if (column.Name == view.taskColumn)
                return (ValueGetter<TValue>)
                    (object)
                        (ValueGetter<ReadOnlyMemory<char>>)((ref ReadOnlyMemory<char> value) => value = view.parts[part].Task.AsMemory());

            var (opened, getter) = (-1, (ValueGetter<TValue>?)null);
            var missing = Missing<TValue>(column.Type);
            return (ref TValue value) =>
            {
                if (opened != part)
                {
                    opened = part;
                    getter = current!.Schema.GetColumnOrNull(column.Name) is { } there ? current.GetGetter<TValue>(there) : missing;
                }
                getter!(ref value);
            };
        }

        protected override bool MoveNextCore()
        {
            while (true)
            {
                if (current?.MoveNext() == true)
                    return true;
                current?.Dispose();
                current = null;
                if (part + 1 >= view.parts.Length)
                    return false;
                var data = view.parts[++part].Data;
                current = data.GetRowCursor([.. data.Schema.Where(column => !column.IsHidden && active.Contains(column.Name))]);
            }
        }

        protected override void Dispose(bool disposing)
        {
            if (disposed)
                return;
            disposed = true;
            if (disposing)
                current?.Dispose();
            base.Dispose(disposing);
        }

        // NaN where a type has it: a 0 would be a number like any other.
        private static ValueGetter<T> Missing<T>(DataViewType type)
        {
            if (type is VectorDataViewType vector)
            {
                return (ValueGetter<T>)
                    typeof(Cursor)
                        .GetMethod(nameof(MissingVector), System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Static)!
                        .MakeGenericMethod(vector.ItemType.RawType)
                        .Invoke(null, [vector.Size])!;
            }
            var nothing = NothingOf<T>();
            return (ref T value) => value = nothing;
        }

        private static ValueGetter<VBuffer<T>> MissingVector<T>(int length)
        {
            var nothing = NothingOf<T>();
            if (EqualityComparer<T>.Default.Equals(nothing, default))
                return (ref VBuffer<T> value) => value = new VBuffer<T>(length, 0, [], []);
            return (ref VBuffer<T> value) =>
            {
                var editor = VBufferEditor.Create(ref value, length);
                editor.Values.Fill(nothing);
                value = editor.Commit();
            };
        }

        private static T NothingOf<T>() =>
            typeof(T) == typeof(float) ? (T)(object)float.NaN
            : typeof(T) == typeof(double) ? (T)(object)double.NaN
            : default!;
    }
}

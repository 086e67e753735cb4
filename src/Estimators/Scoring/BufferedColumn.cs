using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Keeps the values of a column for the rows of a block, while the cursor below has moved on.</summary>
internal abstract class BufferedColumn
{
    /// <summary>Copies the current row's value to a place in the block.</summary>
    public abstract void Store(int place);

    /// <summary>Makes room for a block of this many rows.</summary>
    public abstract void Reserve(int capacity);

    /// <summary>A getter (<see cref="ValueGetter{TValue}"/>) of the value at the place that <paramref name="current"/> tells.</summary>
    public abstract Delegate CreateGetter(Func<int> current);

    /// <summary>
    /// Whether values of a type can be kept: numbers, text and other primitives, and vectors of them. Pictures and other objects belong to
    /// the row they came with.
    /// </summary>
    public static bool CanBuffer(DataViewType type) => type is PrimitiveDataViewType or VectorDataViewType;

    /// <summary>Buffers a column of a cursor.</summary>
    public static BufferedColumn Create(DataViewRow cursor, DataViewSchema.Column column)
    {
        var type = column.Type is VectorDataViewType vector
            ? typeof(BufferedVectors<>).MakeGenericType(vector.ItemType.RawType)
            : typeof(BufferedValues<>).MakeGenericType(column.Type.RawType);
        return (BufferedColumn)Activator.CreateInstance(type, cursor, column)!;
    }
}

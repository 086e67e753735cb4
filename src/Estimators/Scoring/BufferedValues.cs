using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Buffers primitive values.</summary>
internal sealed class BufferedValues<T>(DataViewRow cursor, DataViewSchema.Column column) : BufferedColumn
{
    private readonly ValueGetter<T> getter = cursor.GetGetter<T>(column);
    private T[] values = [];

    /// <inheritdoc/>
    public override void Store(int place) => getter(ref values[place]);

    /// <inheritdoc/>
    public override void Reserve(int capacity)
    {
        if (values.Length < capacity)
            Array.Resize(ref values, capacity);
    }

    /// <inheritdoc/>
    public override Delegate CreateGetter(Func<int> current) => (ValueGetter<T>)((ref T value) => value = values[current()]);
}

using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Buffers vectors, each in a buffer of its own that is used again in the next block.</summary>
internal sealed class BufferedVectors<T>(DataViewRow cursor, DataViewSchema.Column column) : BufferedColumn
{
    private readonly ValueGetter<VBuffer<T>> getter = cursor.GetGetter<VBuffer<T>>(column);
    private VBuffer<T>[] vectors = [];

    /// <inheritdoc/>
    public override void Store(int place) => getter(ref vectors[place]);

    /// <inheritdoc/>
    public override void Reserve(int capacity)
    {
        if (vectors.Length < capacity)
            Array.Resize(ref vectors, capacity);
    }

    /// <inheritdoc/>
    public override Delegate CreateGetter(Func<int> current) =>
        (ValueGetter<VBuffer<T>>)((ref VBuffer<T> value) => vectors[current()].CopyTo(ref value));
}

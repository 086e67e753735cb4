using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>An added column of values of one type.</summary>
internal sealed class BlockColumn<T>(PlaceGetter<T> read) : BlockColumn
{
    /// <inheritdoc/>
    public override Delegate CreateGetter(Func<int> current) => (ValueGetter<T>)((ref T value) =>
    {
        // Before anything of the block is read: to tell the place, a block of one row first takes in the row that is asked for.
        var place = current();
        read(place, ref value);
    });
}

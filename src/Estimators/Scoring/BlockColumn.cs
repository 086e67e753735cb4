namespace Microsoft.ML.MoE.Estimators;

/// <summary>An added column of a block of rows.</summary>
internal abstract class BlockColumn
{
    /// <summary>
    /// A getter (<see cref="ValueGetter{TValue}"/>) of the value in the row at the place that <paramref name="current"/> tells.
    /// </summary>
    public abstract Delegate CreateGetter(Func<int> current);

    /// <summary>A column that is read like this.</summary>
    public static BlockColumn Of<T>(PlaceGetter<T> read) => new BlockColumn<T>(read);
}

using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Rows that a model scores together. Bound to one row or cursor, and to one thread at a time.</summary>
internal interface IRowBlock : IDisposable
{
    /// <summary>Rows in the block.</summary>
    int Count { get; }

    /// <summary>Empties the block and makes room for <paramref name="capacity"/> rows.</summary>
    void Reset(int capacity);

    /// <summary>Takes in the current row.</summary>
    void Add();

    /// <summary>
    /// Another block for the same row or cursor: the two take turns, and one is filled on another thread while the other is scored. Null where rows are read too fast for that to pay.
    /// </summary>
    IRowBlock? CreateTwin();

    /// <summary>A getter (<see cref="ValueGetter{TValue}"/>) of an added column, for the row at the place that <paramref name="current"/> tells.</summary>
    /// <param name="column">Position among the added columns.</param>
    /// <param name="current">Tells the place.</param>
    Delegate CreateGetter(int column, Func<int> current);
}

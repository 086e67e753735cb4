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
    /// Another block for the same row or cursor: the two take turns, and one is filled on another thread while the other is scored. Null
    /// where rows are read too fast for that to pay.
    /// </summary>
    IRowBlock? CreateTwin();

    /// <summary>An added column.</summary>
    /// <param name="column">Position among the added columns.</param>
    BlockColumn GetColumn(int column);

    /// <summary>Warns of the rows since the last report that could not be scored. Disposing does so too.</summary>
    void Report();
}

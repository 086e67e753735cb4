namespace Microsoft.ML.MoE.Estimators;

/// <summary>The rows of data that have a label, where labels are wanted, and an image that can be read, in the order of the data.</summary>
internal interface IImageRows : IDisposable
{
    /// <summary>The row that was moved to; its image is overwritten by the next.</summary>
    ImageExample Current { get; }

    /// <summary>Number of that row in the data, from 0, unusable rows counted.</summary>
    int RowNumber { get; }

    /// <summary>Rows passed by that have no label.</summary>
    long MissingLabels { get; }

    /// <summary>Rows passed by that have a label but no readable image.</summary>
    UnreadableImages Unreadable { get; }

    /// <summary>Moves to the next usable row.</summary>
    /// <returns>False after the last one.</returns>
    bool MoveNext(CancellationToken cancellationToken);
}

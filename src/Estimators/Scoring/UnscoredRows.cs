using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Warns of the rows that have no image to score: once for all cursors that read a data view together, when the last of them is closed.</summary>
internal sealed class UnscoredRows(IHost host, ImageColumn column, IReadOnlyList<ImageReader> readers)
{
    private int open = readers.Count;

    /// <summary>A cursor is closed; its reader is not used any more.</summary>
    public void Close()
    {
        if (Interlocked.Decrement(ref open) == 0)
            Report();
    }

    /// <summary>Warns of the rows since the last report. No reader may be at work.</summary>
    public void Report()
    {
        var all = new UnreadableImages(column.Name);
        foreach (var reader in readers)
            all.Take(reader.Unreadable);
        if (all.Count == 0)
            return;
        using var channel = host.Start("Score");
        channel.Warning(MessageSensitivity.None, $"Of the rows to score {all}: their scores are NaN and their predicted label is missing.");
    }
}

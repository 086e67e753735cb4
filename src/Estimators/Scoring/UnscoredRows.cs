using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Warns of the rows that have no picture to score: once for all cursors that read a data view together, when the last of them is closed.
/// </summary>
/// <param name="host">Receives the warning.</param>
/// <param name="column">The column of the pictures.</param>
/// <param name="consequence">What the rows get instead of scores: the end of a sentence.</param>
/// <param name="readers">What reads them, one for each cursor.</param>
internal sealed class UnscoredRows(IHost host, string column, string consequence, IReadOnlyList<ImageReader> readers)
{
    /// <summary>What rows get where classes are told.</summary>
    public const string NoClass = "their scores are NaN and their predicted label is missing";

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
        var all = new UnreadableImages(column);
        foreach (var reader in readers)
            all.Take(reader.Unreadable);
        if (all.Count == 0)
            return;
        using var channel = host.Start("Score");
        channel.Warning(MessageSensitivity.None, $"Of the rows to score {all}: {consequence}.");
    }
}

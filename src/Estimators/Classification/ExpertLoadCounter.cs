// Where the patches of labelled images go.
//
// Axes: N = images of a block, C = classes or channels, H = height, W = width, G = C + 1: the classes, then the unlabelled, T = tokens of a
// block, those of an image next to each other,
//       K = experts chosen per token, E = experts.

using System.Globalization;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Counts the experts' load by routing operation and class, for one pass over a data view.</summary>
internal sealed class ExpertLoadCounter(IHost host, ImageScorer scorer, ClassificationColumns columns)
{
    private readonly int classes = columns.ClassCount;
    private readonly long[] images_G = new long[columns.ClassCount + 1];
    private long[][,] counts_GE = [];   // by operation
    private long[][] dropped_G = [];

    /// <summary>Reads the data.</summary>
    /// <param name="data">What to read.</param>
    /// <param name="images">Its images.</param>
    /// <param name="labels">Its labels, or null where it has none.</param>
    /// <param name="batchSize">Images of a block.</param>
    /// <param name="cancellationToken">Stops between two blocks.</param>
    /// <exception cref="ArgumentException">The labels cannot be matched with the model's.</exception>
    /// <exception cref="InvalidOperationException">There is no image.</exception>
    public ExpertLoadByClass Count(
        IDataView data, ImageColumn images, LabelColumn? labels, int batchSize, CancellationToken cancellationToken)
    {
        var positions = labels is null ? null : labels.PositionsIn(columns.LabelValues, classes) ?? throw CannotBeMatched(labels);
        using var cursor = data.GetRowCursor(
            labels is null ? [data.Schema[images.Name]] : [data.Schema[images.Name], data.Schema[labels.Name]]);
        var reader = images.OpenReader(cursor);
        var readLabel = labels?.OpenReader(cursor);
        using var buffer = new ImageBuffer(images, batchSize);
        var groups_N = new List<long>(batchSize);
        while (cursor.MoveNext())
        {
            if (!reader.TryRead(buffer[groups_N.Count]))
                continue;
            groups_N.Add(readLabel?.Invoke() is { } label && positions![label] >= 0 ? positions[label] : classes);
            if (groups_N.Count < batchSize)
                continue;
            cancellationToken.ThrowIfCancellationRequested();
            host.CheckAlive();
            Add(buffer, groups_N);
        }
        Add(buffer, groups_N);

        if (images_G.Sum() == 0)
            throw new InvalidOperationException(
                reader.Unreadable.Count == 0 ? "The data have no rows." : $"The data have no image: of the rows {reader.Unreadable}.");
        if (reader.Unreadable.Count > 0)
        {
            using var channel = host.Start("ExpertLoad");
            channel.Warning(MessageSensitivity.None, $"Of the rows to count {reader.Unreadable}: they are left out.");
        }
        return ToResult(reader.Unreadable.Count);
    }

    private void Add(ImageBuffer buffer, List<long> groups_N)
    {
        if (groups_N.Count == 0)
            return;
        using var filled_NCHW = buffer.First(groups_N.Count);
        scorer.Forward(filled_NCHW, output =>
        {
            if (counts_GE.Length == 0)
            {
                counts_GE = [.. output.Routing.Select(record => new long[classes + 1, record.ExpertCounts_E.shape[0]])];
                dropped_G = [.. output.Routing.Select(_ => new long[classes + 1])];
            }
            for (var operation = 0; operation < output.Routing.Count; operation++)
                Add(output.Routing[operation], groups_N, counts_GE[operation], dropped_G[operation]);
        });
        foreach (var group in groups_N)
            images_G[group]++;
        groups_N.Clear();
    }

    private static void Add(RoutingRecord record, List<long> groups_N, long[,] counts_GE, long[] dropped_G)
    {
        var ids_TK = record.ExpertIds_TK.cpu();
        var kept_TK = record.Plan.Kept_TK.cpu();
        var (tokens, choices) = (ids_TK.shape[0], ids_TK.shape[1]);
        var perImage = tokens / groups_N.Count;
        if (perImage * groups_N.Count != tokens)
            throw new InvalidOperationException(
                $"A routing operation has {tokens} tokens for {groups_N.Count} images; wanted the same number for each.");

        var (ids, kept) = (ids_TK.data<long>().ToArray(), kept_TK.data<bool>().ToArray());
        for (var pair = 0L; pair < ids.Length; pair++)
        {
            var group = groups_N[(int)(pair / choices / perImage)];
            counts_GE[group, ids[pair]]++;
            if (!kept[pair])
                dropped_G[group]++;
        }
    }

    private ExpertLoadByClass ToResult(long unreadable) => new(
        columns.LabelValues?.ToTexts() ?? [.. Enumerable.Range(1, classes).Select(key => key.ToString(CultureInfo.InvariantCulture))],
        Array.ConvertAll(Operations(), operation => Enumerable.Range(0, classes).Select(group => Load(operation, group)).ToArray()),
        Array.ConvertAll(Operations(), operation => Load(operation, classes)),
        images_G[..classes], images_G[classes], unreadable);

    private int[] Operations() => [.. Enumerable.Range(0, counts_GE.Length)];

    private ExpertLoad Load(int operation, int group) =>
        new(
            [.. Enumerable.Range(0, counts_GE[operation].GetLength(1)).Select(expert => counts_GE[operation][group, expert])],
            dropped_G[operation][group]);

    private ArgumentException CannotBeMatched(LabelColumn labels) =>
        new(
            columns.LabelValues is null == labels.Values is null
                ? $"Column '{labels.Name}' has {labels.ClassCount} classes and the model {classes}, neither with names by which they "
                    + "could be told: use the same key mapping as in training."
                : $"Only {(labels.Values is null ? "the model's classes" : $"the classes of column '{labels.Name}'")} have names, so that "
                    + "the labels cannot be matched: use the same key mapping as in training.");
}

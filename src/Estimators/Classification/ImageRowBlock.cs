using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The images of a row or cursor, block by block.</summary>
/// <param name="host">Receives warnings.</param>
/// <param name="block">The images.</param>
/// <param name="reader">Reads them.</param>
/// <param name="unscored">Is told when nothing is read any more; null where another block of the same cursor tells.</param>
internal sealed class ImageRowBlock(IHost host, ScoreBlock block, ImageReader reader, UnscoredRows? unscored) : IRowBlock
{
    /// <summary>Blocks for rows or cursors that are read together.</summary>
    public static IRowBlock[] Open(IHost host, ImageScorer scorer, ImageColumn column, DataViewRow[] rows, bool withEmbeddings)
    {
        var readers = Array.ConvertAll(rows, column.OpenReader);
        var unscored = new UnscoredRows(host, column.Name, UnscoredRows.NoClass, readers);
        return Array.ConvertAll(readers, IRowBlock (reader) =>
            new ImageRowBlock(host, new ScoreBlock(scorer, column, withEmbeddings), reader, unscored));
    }

    /// <inheritdoc/>
    public int Count => block.Count;

    /// <inheritdoc/>
    public void Reset(int capacity) => block.Reset(capacity);

    /// <inheritdoc/>
    public void Add()
    {
        block.Add(reader);
        if (block.Scorer.Watch.TakeWarning() is not { } warning)
            return;
        using var channel = host.Start("Score");
        channel.Warning(MessageSensitivity.None, warning);
    }

    /// <inheritdoc/>
    public IRowBlock? CreateTwin() => block.HasPictures ? new ImageRowBlock(host, block.CreateEmpty(), reader, unscored: null) : null;

    /// <inheritdoc/>
    public BlockColumn GetColumn(int column) => column switch
    {
        ClassificationColumns.Score => BlockColumn.Of<VBuffer<float>>(block.GetScore),
        ClassificationColumns.Embedding => BlockColumn.Of<VBuffer<float>>(block.GetEmbedding),
        _ => BlockColumn.Of((int place, ref uint value) => value = block.GetPredictedLabel(place)),
    };

    /// <inheritdoc/>
    public void Report() => unscored?.Report();

    /// <inheritdoc/>
    public void Dispose()
    {
        block.Dispose();
        unscored?.Close();
    }
}

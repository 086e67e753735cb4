using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A data view with the columns of a classifier added, scored block by block as it is read.</summary>
/// <remarks>
/// Row by row instead where blocks are impossible, because an active column holds pictures or other objects that belong to their row, or pointless, because no added column
/// is active.
/// </remarks>
internal sealed class ScoringDataView : IDataView
{
    private readonly IHost host;
    private readonly IDataView source;
    private readonly ImageScorer scorer;
    private readonly ImageColumn column;
    private readonly int batchSize;
    private readonly ColumnBindings bindings;
    private readonly RowToRowMapperTransform rowByRow;

    public ScoringDataView(IHost host, IDataView source, ImageScorer scorer, ImageColumn column, int batchSize, IRowMapper mapper, Func<DataViewSchema, IRowMapper> mapperFactory)
    {
        this.host = host;
        this.source = source;
        this.scorer = scorer;
        this.column = column;
        this.batchSize = batchSize;
        bindings = new ColumnBindings(source.Schema, mapper.GetOutputColumns());
        rowByRow = new RowToRowMapperTransform(host, source, mapper, mapperFactory);
    }

    /// <inheritdoc/>
    public bool CanShuffle => source.CanShuffle;

    /// <inheritdoc/>
    public DataViewSchema Schema => rowByRow.OutputSchema;

    /// <inheritdoc/>
    public long? GetRowCount() => source.GetRowCount();

    /// <inheritdoc/>
    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        TryPlan(columnsNeeded, out var active, out var inputColumns)
            ? Open([source.GetRowCursor(inputColumns, rand)], active)[0]
            : rowByRow.GetRowCursor(columnsNeeded, rand);

    /// <inheritdoc/>
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        TryPlan(columnsNeeded, out var active, out var inputColumns)
            ? Open(source.GetRowCursorSet(inputColumns, n, rand), active)
            : rowByRow.GetRowCursorSet(columnsNeeded, n, rand);

    private bool TryPlan(IEnumerable<DataViewSchema.Column> columnsNeeded, out bool[] active, out DataViewSchema.Column[] inputColumns)
    {
        var wanted = new bool[Schema.Count];
        foreach (var needed in columnsNeeded)
            wanted[needed.Index] = true;

        active = wanted;
        var activeInput = bindings.GetActiveInput(index => wanted[index]);
        var canBuffer = source.Schema.All(c => !activeInput[c.Index] || BufferedColumn.CanBuffer(c.Type));
        activeInput[source.Schema[column.Name].Index] = true;
        inputColumns = [.. source.Schema.Where(c => activeInput[c.Index])];
        return canBuffer && bindings.AddedColumnIndices.Any(index => wanted[index]);
    }

    private DataViewRowCursor[] Open(DataViewRowCursor[] inputs, bool[] active)
    {
        var readers = Array.ConvertAll(inputs, column.OpenReader);
        var unscored = new UnscoredRows(host, column, readers);
        var withEmbeddings = bindings.AddedColumnIndices.Count > ClassificationColumns.Embedding && active[bindings.AddedColumnIndices[ClassificationColumns.Embedding]];
        return [.. inputs.Zip(readers, (input, reader) => new LookAheadCursor(host, input, Schema, bindings, active, new ScoreBlock(scorer, column, withEmbeddings), reader, unscored, batchSize))];
    }
}

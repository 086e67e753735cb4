using Microsoft.ML.Data;
using Microsoft.ML.Model.OnnxConverter;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A data view with the columns of a model added, scored block by block as it is read.</summary>
/// <remarks>
/// Row by row instead where blocks are impossible, because an active column holds pictures or other objects that belong to their row, or
/// pointless, because no added column is active.
/// </remarks>
internal sealed class ScoringDataView : ITransformCanSaveOnnx
{
    private readonly IHost host;
    private readonly IDataView source;
    private readonly IReadOnlyList<string> modelInputs;
    private readonly Func<DataViewRow[], Func<int, bool>, IRowBlock[]> open;
    private readonly int batchSize;
    private readonly ColumnBindings bindings;
    private readonly RowToRowMapperTransform rowByRow;
    private readonly ITransformer transformer;

    /// <summary>Makes the view.</summary>
    /// <param name="host">The host.</param>
    /// <param name="source">The view without the added columns.</param>
    /// <param name="modelInputs">The columns that the model reads.</param>
    /// <param name="open">Makes a block for each of the cursors that read the source together, given which of the added columns are
    /// wanted.</param>
    /// <param name="batchSize">Rows of a block.</param>
    /// <param name="mapper">Adds the same columns row by row.</param>
    /// <param name="mapperFactory">Makes such a mapper for another schema.</param>
    public ScoringDataView(
        IHost host,
        IDataView source,
        IReadOnlyList<string> modelInputs,
        Func<DataViewRow[], Func<int, bool>, IRowBlock[]> open,
        int batchSize,
        IRowMapper mapper,
        Func<DataViewSchema, IRowMapper> mapperFactory)
    {
        this.host = host;
        this.source = source;
        this.modelInputs = modelInputs;
        this.open = open;
        this.batchSize = batchSize;
        bindings = new ColumnBindings(source.Schema, mapper.GetOutputColumns());
        rowByRow = new RowToRowMapperTransform(host, source, mapper, mapperFactory);
        transformer = mapper.GetTransformer();
    }

    /// <inheritdoc/>
    public IDataView Source => source;

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

    bool ICanSaveOnnx.CanSaveOnnx(OnnxContext ctx) => throw OnnxExport.Refuse(transformer);

    void ISaveAsOnnx.SaveAsOnnx(OnnxContext ctx) => throw OnnxExport.Refuse(transformer);

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)transformer).Save(ctx);

    private bool TryPlan(IEnumerable<DataViewSchema.Column> columnsNeeded, out bool[] active, out DataViewSchema.Column[] inputColumns)
    {
        var wanted = new bool[Schema.Count];
        foreach (var needed in columnsNeeded)
            wanted[needed.Index] = true;

        active = wanted;
        var activeInput = bindings.GetActiveInput(index => wanted[index]);
        var canBuffer = source.Schema.All(c => !activeInput[c.Index] || BufferedColumn.CanBuffer(c.Type));
        foreach (var name in modelInputs)
            activeInput[source.Schema[name].Index] = true;
        inputColumns = [.. source.Schema.Where(c => activeInput[c.Index])];
        return canBuffer && bindings.AddedColumnIndices.Any(index => wanted[index]);
    }

    private DataViewRowCursor[] Open(DataViewRowCursor[] inputs, bool[] active) =>
        [
            .. inputs.Zip(open(inputs, column => active[bindings.AddedColumnIndices[column]]), (input, block) =>
                new LookAheadCursor(host, input, Schema, bindings, active, block, batchSize)),
        ];
}

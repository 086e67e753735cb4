using Microsoft.ML.Data;
using Microsoft.ML.Model.OnnxConverter;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A data view as it is, behind a transformer that adds no columns: by it <c>ConvertToOnnx</c> learns of the transformer.
/// </summary>
/// <param name="transformer">The transformer.</param>
/// <param name="source">The data view.</param>
internal sealed class UnchangedDataView(ITransformer transformer, IDataView source) : ITransformCanSaveOnnx
{
    /// <inheritdoc/>
    public IDataView Source => source;

    /// <inheritdoc/>
    public bool CanShuffle => source.CanShuffle;

    /// <inheritdoc/>
    public DataViewSchema Schema => source.Schema;

    /// <inheritdoc/>
    public long? GetRowCount() => source.GetRowCount();

    /// <inheritdoc/>
    public DataViewRowCursor GetRowCursor(IEnumerable<DataViewSchema.Column> columnsNeeded, Random? rand = null) =>
        source.GetRowCursor(columnsNeeded, rand);

    /// <inheritdoc/>
    public DataViewRowCursor[] GetRowCursorSet(IEnumerable<DataViewSchema.Column> columnsNeeded, int n, Random? rand = null) =>
        source.GetRowCursorSet(columnsNeeded, n, rand);

    bool ICanSaveOnnx.CanSaveOnnx(OnnxContext ctx) => throw OnnxExport.Refuse(transformer);

    void ISaveAsOnnx.SaveAsOnnx(OnnxContext ctx) => throw OnnxExport.Refuse(transformer);

    void ICanSaveModel.Save(ModelSaveContext ctx) => ((ICanSaveModel)transformer).Save(ctx);
}

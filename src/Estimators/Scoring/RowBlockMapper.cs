using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Scores one row at a time, as a block of one: for prediction engines, and for cursors whose rows cannot be buffered.</summary>
/// <param name="transformer">Whose columns these are.</param>
/// <param name="outputColumns">The columns that are added.</param>
/// <param name="inputs">The columns that the model reads.</param>
/// <param name="open">Makes a block for a row, given which of the added columns are wanted.</param>
internal sealed class RowBlockMapper(
    ITransformer transformer,
    DataViewSchema.DetachedColumn[] outputColumns,
    IReadOnlyList<DataViewSchema.Column> inputs,
    Func<DataViewRow, Func<int, bool>, IRowBlock> open
) : IRowMapper
{
    /// <inheritdoc/>
    public DataViewSchema.DetachedColumn[] GetOutputColumns() => outputColumns;

    /// <inheritdoc/>
    public ITransformer GetTransformer() => transformer;

    /// <inheritdoc/>
    public Func<int, bool> GetDependencies(Func<int, bool> activeOutput)
    {
        var active = Enumerable.Range(0, outputColumns.Length).Any(activeOutput);
        return index => active && inputs.Any(input => input.Index == index);
    }

    /// <inheritdoc/>
    public Delegate[] CreateGetters(DataViewRow row, Func<int, bool> activeOutput, out Action disposer)
    {
        disposer = () => { };
        var getters = new Delegate[outputColumns.Length];
        if (!Enumerable.Range(0, outputColumns.Length).Any(activeOutput))
            return getters;

        var block = open(row, activeOutput);
        disposer = block.Dispose;
        long? position = null;
        for (var column = 0; column < getters.Length; column++)
        {
            if (activeOutput(column))
                getters[column] = block.GetColumn(column).CreateGetter(Read);
        }
        return getters;

        // All columns share one forward pass of the row. A prediction engine counts a position for every prediction.
        int Read()
        {
            if (position != row.Position)
            {
                block.Reset(1);
                block.Add();
                position = row.Position;
                if (row is not DataViewRowCursor)
                    block.Report();   // a prediction engine may live as long as the process
            }
            return 0;
        }
    }

    /// <inheritdoc/>
    public void Save(ModelSaveContext ctx) => ((ICanSaveModel)transformer).Save(ctx);
}

using Microsoft.ML;

namespace Estimators.Tests.Scoring.Contract;

/// <summary>A transformer, the columns that it adds, and rows of which one has nothing to score.</summary>
internal abstract class ScoringCase : IDisposable
{
    /// <summary>The transformer.</summary>
    public required ITransformer Model { get; init; }

    /// <summary>Rows of <see cref="View"/>.</summary>
    public abstract int Count { get; }

    /// <summary>The rows from a place on, as many as wanted.</summary>
    public abstract IDataView View(MLContext ml, int start, int count);

    /// <summary>What a prediction engine whose output reads these columns, in this order, says of each row.</summary>
    /// <returns>The values, row by row, as <see cref="ColumnValues"/> gives them.</returns>
    public abstract object[][] Predict(MLContext ml, IReadOnlyList<string> columns);

    /// <summary>The names of the columns that are added, in their order.</summary>
    public string[] Added(MLContext ml)
    {
        var before = View(ml, 0, 1).Schema.Count;
        return [.. Model.GetOutputSchema(View(ml, 0, 1).Schema).Skip(before).Select(column => column.Name)];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        switch (Model)
        {
            case Microsoft.ML.MoE.Estimators.GeneralistTaskTransformer task:
                task.Generalist.Dispose();
                break;
            case IDisposable disposable:
                disposable.Dispose();
                break;
        }
    }
}

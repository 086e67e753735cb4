using Microsoft.ML;
using Microsoft.ML.Data;

namespace Estimators.Tests.Scoring.Contract;

/// <summary>A transformer and rows of a type.</summary>
internal sealed class ScoringCase<TRow> : ScoringCase where TRow : class
{
    public required IReadOnlyList<TRow> Rows { get; init; }

    /// <inheritdoc/>
    public override int Count => Rows.Count;

    /// <inheritdoc/>
    public override IDataView View(MLContext ml, int start, int count) => ml.Data.LoadFromEnumerable(Rows.Skip(start).Take(count));

    /// <inheritdoc/>
    public override object[][] Predict(MLContext ml, IReadOnlyList<string> columns)
    {
        // ML.NET fills the output in the order of the definition.
        var all = SchemaDefinition.Create(typeof(AddedColumns));
        var wanted = SchemaDefinition.Create(typeof(AddedColumns));
        wanted.Clear();
        wanted.AddRange(columns.Select(name => all.Single(column => column.ColumnName == name)));
        var options = new PredictionEngineOptions { OwnsTransformer = false, OutputSchemaDefinition = wanted };
        using var engine = ml.Model.CreatePredictionEngine<TRow, AddedColumns>(Model, options);
        return [.. Rows.Select(row =>
        {
            var predicted = engine.Predict(row);
            return columns.Select(name => typeof(AddedColumns).GetProperty(name)!.GetValue(predicted)!).ToArray();
        })];
    }
}

using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The column that says how much an example counts, as ML.NET's own trainers have it.</summary>
/// <param name="Name">Name of the column.</param>
internal sealed record WeightColumn(string Name)
{
    /// <summary>What columns we take, for messages.</summary>
    public const string Expected = "Single";

    /// <summary>Finds the column in a schema.</summary>
    /// <param name="context">Marks exceptions as ML.NET does.</param>
    /// <param name="schema">The schema.</param>
    /// <param name="name">Name of the column; null for none.</param>
    /// <exception cref="ArgumentException">There is no such column, or it has another type.</exception>
    public static WeightColumn? Find(IExceptionContext context, DataViewSchema schema, string? name)
    {
        if (name is null)
            return null;
        var column = schema.GetColumnOrNull(name) ?? throw context.ExceptSchemaMismatch(nameof(schema), "weight", name);
        return column.Type.Equals(NumberDataViewType.Single)
            ? new(name)
            : throw context.ExceptSchemaMismatch(nameof(schema), "weight", name, Expected, column.Type.ToString());
    }

    /// <summary>Checks the column of a schema that is not known to its last detail yet.</summary>
    /// <exception cref="ArgumentException">There is no such column, or it has another type.</exception>
    public static void Check(IExceptionContext context, SchemaShape schema, string? name)
    {
        if (name is null)
            return;
        if (!schema.TryFindColumn(name, out var column))
            throw context.ExceptSchemaMismatch(nameof(schema), "weight", name);
        if (column.IsKey || column.Kind != SchemaShape.Column.VectorKind.Scalar || column.ItemType != NumberDataViewType.Single)
            throw context.ExceptSchemaMismatch(nameof(schema), "weight", name, Expected, column.GetTypeString());
    }

    /// <summary>Reads the weight of the current row.</summary>
    /// <param name="row">A row in which the column is active.</param>
    /// <returns>Gives it, for the number of the row, counted from 0.</returns>
    /// <exception cref="InvalidOperationException">When it is read: it is negative, infinite or no number.</exception>
    public Func<int, float> OpenReader(DataViewRow row)
    {
        var getter = row.GetGetter<float>(row.Schema[Name]);
        return number =>
        {
            float weight = 0;
            getter(ref weight);
            return weight >= 0 && float.IsFinite(weight)
                ? weight
                : throw new InvalidOperationException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"Row {number:n0}, counted from 0, has the weight {weight} in column '{Name}'; it must be a finite number of at "
                            + $"least 0."));
        };
    }
}

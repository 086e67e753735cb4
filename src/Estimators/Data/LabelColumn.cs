using System.Globalization;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The label column: a key, whose count is the number of classes, whatever labels the rows happen to have.</summary>
/// <param name="Name">Name of the column.</param>
/// <param name="ClassCount">Number of classes.</param>
/// <param name="Values">What the classes are called, where the column says.</param>
internal sealed record LabelColumn(string Name, int ClassCount, LabelValues? Values)
{
    /// <summary>What columns we take, for messages.</summary>
    public const string Expected = "Key<UInt32>";

    // A score is a vector with one number a class; more classes than this are a mistake, such as a row id taken for a label.
    private const ulong MostClasses = 1 << 24;

    /// <summary>Finds the column in a schema.</summary>
    /// <param name="context">Marks exceptions as ML.NET does.</param>
    /// <param name="schema">The schema.</param>
    /// <param name="name">Name of the column.</param>
    /// <param name="fewestClasses">Classes that it must have: two to train a classifier.</param>
    /// <exception cref="ArgumentException">There is no such column, it is not a key, or it has too few classes.</exception>
    public static LabelColumn Find(IExceptionContext context, DataViewSchema schema, string name, ulong fewestClasses = 2)
    {
        var column = schema.GetColumnOrNull(name) ?? throw context.ExceptSchemaMismatch(nameof(schema), "label", name);
        if (column.Type is not KeyDataViewType key || key.RawType != typeof(uint))
            throw context.ExceptSchemaMismatch(
                nameof(schema), "label", name, $"{Expected} (append MapValueToKey(\"{name}\"))", column.Type.ToString());
        if (key.Count < fewestClasses)
            throw new ArgumentException($"Column '{name}' has {key.Count} class; a classifier needs at least {fewestClasses}.");
        if (key.Count > MostClasses)
            throw new ArgumentException($"Column '{name}' has {key.Count} classes; at most {MostClasses} are supported.");
        return new(name, (int)key.Count, LabelValues.From(column));
    }

    /// <summary>Says what is wrong with data that have no class to tell apart, which ML.NET gives a key of one value.</summary>
    /// <param name="data">The data.</param>
    /// <param name="name">Name of the column.</param>
    /// <exception cref="InvalidOperationException">There is no row, or none with a label.</exception>
    public static void RequireSome(IDataView data, string name)
    {
        if (data.Schema.GetColumnOrNull(name) is not { Type: KeyDataViewType { Count: < 2 } key } column || key.RawType != typeof(uint))
            return;
        using var cursor = data.GetRowCursor([column]);
        var getter = cursor.GetGetter<uint>(column);
        var rows = 0L;
        for (uint label = 0; cursor.MoveNext(); rows++)
        {
            getter(ref label);
            if (label != 0)
                return;
        }
        throw new InvalidOperationException(rows == 0
            ? "The training data have no rows."
            : $"The training data have no usable rows: all {rows:n0} have no label in column '{name}'.");
    }

    /// <summary>What the classes are called; where the column does not say, their keys, from 1.</summary>
    public IReadOnlyList<string> Names =>
        Values?.ToTexts() ?? [.. Enumerable.Range(1, ClassCount).Select(key => key.ToString(CultureInfo.InvariantCulture))];

    /// <summary>What a class is called, in words for messages.</summary>
    /// <param name="label">The class, from 0.</param>
    public string Describe(int label) => Values is null ? $"key {Names[label]}" : $"'{Names[label]}'";

    /// <summary>
    /// For each class its position among the classes of a model, or −1 where the model does not have it: classes with names are told by
    /// their names, others by their keys.
    /// </summary>
    /// <param name="values">What the model's classes are called.</param>
    /// <param name="count">Number of the model's classes.</param>
    /// <returns>Null where that cannot be said: only one of the two has names, or neither has and the numbers differ.</returns>
    public int[]? PositionsIn(LabelValues? values, int count) => (Values, values) switch
    {
        ({ } mine, { } theirs) => mine.PositionsIn(theirs),
        (null, null) when ClassCount == count => [.. Enumerable.Range(0, count)],
        _ => null,
    };

    /// <summary>Counts the rows that have a class; no other column is read.</summary>
    /// <param name="data">Data with the column.</param>
    /// <param name="cancellationToken">Ends the count.</param>
    public int CountRows(IDataView data, CancellationToken cancellationToken)
    {
        using var cursor = data.GetRowCursor([data.Schema[Name]]);
        var read = OpenReader(cursor);
        var count = 0;
        while (cursor.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (read() is not null)
                count++;
        }
        return count;
    }

    /// <summary>Reads the class of the current row: 0 to <see cref="ClassCount"/> − 1, or null where the label is missing.</summary>
    /// <param name="row">A row in which the column is active.</param>
    public Func<int?> OpenReader(DataViewRow row)
    {
        var getter = row.GetGetter<uint>(row.Schema[Name]);
        return () =>
        {
            uint key = 0;
            getter(ref key);
            return key == 0 || key > ClassCount ? null : (int)key - 1;   // keys count from 1; 0 stands for missing
        };
    }
}

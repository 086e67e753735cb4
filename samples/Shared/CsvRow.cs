using System.Globalization;

namespace Samples;

/// <summary>A row of a table that <see cref="Csv"/> has read.</summary>
/// <param name="Cells">What is not empty, by column, in the table's order.</param>
public sealed record CsvRow(IReadOnlyDictionary<string, string> Cells)
{
    /// <summary>A cell.</summary>
    /// <param name="column">Its column.</param>
    /// <exception cref="InvalidDataException">There is no such column, or the cell is empty.</exception>
    public string this[string column] => Cells.TryGetValue(column, out var text)
        ? text
        : throw new InvalidDataException($"A row has nothing in the column '{column}'.");

    /// <summary>A number.</summary>
    /// <param name="column">Its column.</param>
    /// <exception cref="InvalidDataException">There is none.</exception>
    public double Number(string column) => double.TryParse(this[column], NumberStyles.Float, CultureInfo.InvariantCulture, out var number)
        ? number
        : throw new InvalidDataException($"'{this[column]}' in the column '{column}' is not a number.");

    /// <summary>A number, or null where the cell is empty.</summary>
    /// <param name="column">Its column.</param>
    public double? NumberOrNull(string column) => Cells.ContainsKey(column) ? Number(column) : null;

    /// <summary>The points of a curve: of columns such as <c>loss 1</c>, <c>loss 2</c> those that are not empty.</summary>
    /// <param name="name">The curve's name, <c>loss</c>.</param>
    /// <returns>The columns' numbers, ascending, and what is in them.</returns>
    public IReadOnlyList<(int At, double Value)> Curve(string name) =>
    [
        .. Cells.Keys
            .Where(column => column.StartsWith($"{name} ", StringComparison.Ordinal))
            .Where(column => column.AsSpan(name.Length + 1).IndexOfAnyExceptInRange('0', '9') < 0)
            .Select(column => (int.Parse(column.AsSpan(name.Length + 1), CultureInfo.InvariantCulture), Number(column))).Order(),
    ];
}

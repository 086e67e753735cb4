namespace StockRivals;

/// <summary>Takes a part of rows.</summary>
internal static class Parts
{
    /// <summary>Draws rows, as many of each class.</summary>
    /// <param name="rows">All rows.</param>
    /// <param name="classOf">A row's class.</param>
    /// <param name="count">Rows to draw: a multiple of the number of classes.</param>
    /// <param name="seed">Which ones.</param>
    /// <returns>Those rows and the others, both in the order of all rows.</returns>
    /// <exception cref="InvalidDataException">The number is no multiple, or a class has too few rows.</exception>
    public static (IReadOnlyList<TRow> Part, IReadOnlyList<TRow> Others) Even<TRow>(
        IReadOnlyList<TRow> rows, Func<TRow, string> classOf, int count, int seed)
    {
        var random = new Random(seed);
        var classes = Enumerable.Range(0, rows.Count)
            .GroupBy(row => classOf(rows[row]))
            .OrderBy(members => members.Key, StringComparer.Ordinal)
            .Select(members => members.ToArray())
            .ToArray();
        var each = count / classes.Length;
        if (each * classes.Length != count || each == 0)
            throw new InvalidDataException($"{count} is not as many of each of {classes.Length} classes; a multiple of that is wanted.");
        if (classes.Min(members => members.Length) is var least && least < each)
            throw new InvalidDataException($"{each} of each class are wanted, but one has {least}.");

        var drawn = new HashSet<int>();
        foreach (var members in classes)
        {
            random.Shuffle(members);
            drawn.UnionWith(members[..each]);
        }
        return (
            [.. rows.Where((_, row) => drawn.Contains(row))],
            [.. rows.Where((_, row) => !drawn.Contains(row))]);
    }
}

using System.Globalization;
using System.Text;

namespace Samples;

/// <summary>Tables as CSV (RFC 4180) with a header: what a comparison measured, a row for each run.</summary>
public static class Csv
{
    /// <summary>Writes a table. Its columns are those of all rows, in the order in which they appear first.</summary>
    /// <param name="file">The file, overwritten where there is one.</param>
    /// <param name="rows">The cells of each row by column. What is null stays empty; numbers read back the same.</param>
    public static void Write(string file, IEnumerable<IEnumerable<(string Column, object? Value)>> rows)
    {
        var cells = rows
            .Select(row => row.ToDictionary(cell => cell.Column, cell => Convert.ToString(cell.Value, CultureInfo.InvariantCulture)))
            .ToList();
        string[] columns = [.. cells.SelectMany(row => row.Keys).Distinct()];
        var text = new StringBuilder();
        Append(columns);
        foreach (var row in cells)
            Append(columns.Select(column => row.GetValueOrDefault(column)));
        File.WriteAllText(file, text.ToString());

        void Append(IEnumerable<string?> line) => text.AppendJoin(',', line.Select(Quote)).Append('\n');
    }

    /// <summary>Reads a table.</summary>
    /// <param name="file">The file.</param>
    /// <exception cref="InvalidDataException">It has no header, or a row has more cells.</exception>
    public static IReadOnlyList<CsvRow> Read(string file)
    {
        var lines = Split(File.ReadAllText(file)).ToList();
        if (lines.Count == 0 || lines.Find(line => line.Count > lines[0].Count) is not null)
            throw new InvalidDataException($"'{file}' is not a table with a header.");
        return [.. lines.Skip(1).Select(line =>
            new CsvRow(lines[0].Zip(line).Where(cell => cell.Second.Length > 0).ToDictionary(cell => cell.First, cell => cell.Second)))];
    }

    private static string Quote(string? cell) =>
        cell.AsSpan().ContainsAny(",\"\r\n") ? $"\"{cell!.Replace("\"", "\"\"", StringComparison.Ordinal)}\"" : cell ?? "";

    private static IEnumerable<List<string>> Split(string text)
    {
        var (line, cell, quoted) = (new List<string>(), new StringBuilder(), false);
        for (var i = 0; i < text.Length; i++)
        {
            switch (text[i])
            {
                case '"' when quoted && i + 1 < text.Length && text[i + 1] == '"':
                    cell.Append('"');
                    i++;
                    break;
                case '"':
                    quoted = !quoted;
                    break;
                case ',' when !quoted:
                    line.Add(cell.ToString());
                    cell.Clear();
                    break;
                case '\n' when !quoted:
                    line.Add(cell.ToString().TrimEnd('\r'));
                    cell.Clear();
                    yield return line;
                    line = [];
                    break;
                default:
                    cell.Append(text[i]);
                    break;
            }
        }
        if (line.Count > 0 || cell.Length > 0)
            yield return [.. line, cell.ToString()];
    }
}

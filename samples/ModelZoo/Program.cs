// Prints every model that the library knows by name: its parameters, those that one token meets, the multiply-adds of a forward pass, and the published count.
//
//     dotnet run -c Release --project samples/ModelZoo             a table
//     dotnet run -c Release --project samples/ModelZoo -- --json   a JSON array on standard output

using System.Globalization;
using ModelZoo;
using Spectre.Console;

if (args is not ([] or ["--json"]))
{
    Console.Error.WriteLine($"Unknown arguments '{string.Join(' ', args)}'. Usage: ModelZoo [--json]");
    return 2;
}

var rows = ModelZooTable.Measure();
if (args is ["--json"])
{
    Console.WriteLine(ModelZooTable.ToJson(rows));
    return 0;
}

var table = new Table().AddColumns("model", "parameters", "active", "forward GMACs", "published", "note");
foreach (var index in new[] { 1, 2, 3, 4 })
    table.Columns[index].RightAligned().NoWrap();
foreach (var row in rows)
{
    table.AddRow(
        row.Name,
        row.Parameters.ToString("N0", CultureInfo.InvariantCulture),
        row.ActiveParameters.ToString("N0", CultureInfo.InvariantCulture),
        (row.ForwardMacs / 1e9).ToString("0.000", CultureInfo.InvariantCulture),
        row.Published is { } millions ? $"{millions}M" : "",
        Markup.Escape(row.Note));
}
if (Console.IsOutputRedirected)
    AnsiConsole.Profile.Width = 200;
AnsiConsole.Write(table);
return 0;

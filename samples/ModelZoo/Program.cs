// Prints every model that the library knows by name: its parameters, those that one token meets, the multiply-adds of a forward pass, and the published count.
//
//     dotnet run -c Release --project samples/ModelZoo                a table
//     dotnet run -c Release --project samples/ModelZoo -- --forward   with the time of a forward pass of each model that fits into memory: takes minutes
//     dotnet run -c Release --project samples/ModelZoo -- --json      a JSON array on standard output

using System.Globalization;
using ModelZoo;
using Spectre.Console;

if (args.Except(["--json", "--forward"]).FirstOrDefault() is { } unknown)
{
    Console.Error.WriteLine($"Unknown argument '{unknown}'. Usage: ModelZoo [--forward] [--json]");
    return 2;
}

var withForwardPass = args.Contains("--forward");
var rows = ModelZooTable.Measure(_ => withForwardPass);
if (args.Contains("--json"))
{
    Console.WriteLine(ModelZooTable.ToJson(rows));
    return 0;
}

var table = new Table().AddColumns(["model", "parameters", "active", "forward MMACs", .. withForwardPass ? ["forward ms"] : Array.Empty<string>(), "published", "note"]);
foreach (var index in Enumerable.Range(1, table.Columns.Count - 2))
    table.Columns[index].RightAligned().NoWrap();
foreach (var row in rows)
{
    string[] time = withForwardPass ? [row.ForwardMilliseconds?.ToString("N1", CultureInfo.InvariantCulture) ?? "–"] : [];
    table.AddRow(
    [
        row.Name,
        row.Parameters.ToString("N0", CultureInfo.InvariantCulture),
        row.ActiveParameters.ToString("N0", CultureInfo.InvariantCulture),
        $"{(row.ForwardMacs / 1e6).ToString("N2", CultureInfo.InvariantCulture)} {(row.Example == "image" ? "an image" : "a token")}",
        .. time,
        row.Published is { } millions ? $"{millions}M" : "",
        Markup.Escape(row.Note),
    ]);
}
if (Console.IsOutputRedirected)
    AnsiConsole.Profile.Width = 200;
AnsiConsole.Write(table);
return 0;

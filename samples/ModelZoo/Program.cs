// Prints every model that the library knows by name: its parameters, those that one token meets, the multiply-adds of a forward pass, and
// the published count.
//
//     dotnet run -c Release --project samples/ModelZoo                a table
//     dotnet run -c Release --project samples/ModelZoo -- --forward   with the time of a forward pass of each model that fits into memory: takes minutes
//     dotnet run -c Release --project samples/ModelZoo -- --json      a JSON array on standard output

using System.CommandLine;
using System.Globalization;
using ModelZoo;
using Spectre.Console;

var forward = new Option<bool>("--forward")
{
    Description = "With the time of a forward pass of each model that fits into memory: takes minutes.",
};
var json = new Option<bool>("--json") { Description = "A JSON array in place of the table." };
var command = new RootCommand("Prints every model that the library knows by name.") { forward, json };
command.SetAction(line =>
{
    var rows = ModelZooTable.Measure(_ => line.GetValue(forward));
    if (line.GetValue(json))
        Console.WriteLine(ModelZooTable.ToJson(rows));
    else
        WriteTable([.. rows], line.GetValue(forward));
});
return command.Parse(args).Invoke();

static void WriteTable(IReadOnlyList<ModelZooRow> rows, bool withForwardPass)
{
    var table = new Table().AddColumns([
        "model",
        "parameters",
        "active",
        "forward MMACs",
        .. withForwardPass ? ["forward ms"] : Array.Empty<string>(),
        "published",
        "note",
    ]);
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
            $"{(row.ForwardMacs / 1e6).ToString("N2", CultureInfo.InvariantCulture)} {(row.Example == "image" ? "an" : "a")} {row.Example}",
            .. time,
            row.Published is { } millions ? $"{millions}M" : "",
            Markup.Escape(row.Note),
        ]);
    }
    if (Console.IsOutputRedirected)
        AnsiConsole.Profile.Width = 200;
    AnsiConsole.Write(table);
}

// Prints every model that the library knows by name: its parameters, those that one token meets, the multiply-adds of a forward pass, and the published count.
//
//     dotnet run -c Release --project samples/ModelZoo             a table
//     dotnet run -c Release --project samples/ModelZoo -- --json   a JSON array on standard output

using System.Globalization;
using System.Text.Json;
using Microsoft.ML.MoE.Models;
using ModelZoo;
using Spectre.Console;
using TorchSharp;

if (args is not ([] or ["--json"]))
{
    Console.Error.WriteLine($"Unknown arguments '{string.Join(' ', args)}'. Usage: ModelZoo [--json]");
    return 2;
}

var rows = ImageClassifierPresets.All.Select(Measure).ToArray();
if (args is ["--json"])
{
    Console.WriteLine(JsonSerializer.Serialize(rows, new JsonSerializerOptions { WriteIndented = true }));
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

// The meta device has shapes but no memory: a model of any size is built and counted in milliseconds.
static ModelZooRow Measure(ImageClassifierPreset preset)
{
    using var model = preset.Config.Build(torch.META);
    var parameters = model.parameters().DistinctBy(parameter => parameter.Handle).Sum(parameter => parameter.numel());
    var cost = preset.Config.GetCost();
    return new ModelZooRow(preset.Name, parameters, cost.ActiveParameters, cost.ForwardMacs, preset.PublishedMillions, preset.Note);
}

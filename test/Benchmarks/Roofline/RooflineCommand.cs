using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Microsoft.ML.MoE.Runtime;
using Samples;
using Spectre.Console;

namespace Benchmarks.Roofline;

/// <summary>The command that measures what the machine can do.</summary>
internal static class RooflineCommand
{
    public static Command Create(Option<FileInfo?> json, Option<FileInfo?> csv)
    {
        var command = new Command("roofline", "Measures what this machine can do with the threads in use.") { json, csv };
        command.SetAction(line => Run(line.GetValue(json), line.GetValue(csv)));
        return command;
    }

    private static void Run(FileInfo? jsonFile, FileInfo? csvFile)
    {
        TorchRuntime.Initialize();
        Console.WriteLine(MachineDescription.Describe());
        Console.WriteLine();
        var limits = RooflineMeasurement.Run();
        var table = new Table().Border(TableBorder.Simple).AddColumns("limit", "value", "unit", "how");
        table.Columns[1].RightAligned();
        foreach (var limit in limits.ToLimits())
        {
            var value = limit.Value.ToString(limit.Value < 100 ? "F2" : "F0", CultureInfo.InvariantCulture);
            table.AddRow([.. new[] { limit.Name, value, limit.Unit, limit.How }.Select(Markup.Escape)]);
        }

        AnsiConsole.Profile.Width = Math.Max(AnsiConsole.Profile.Width, 120);   // a pipe counts as narrow
        AnsiConsole.Write(table);
        if (jsonFile is not null)
            File.WriteAllText(jsonFile.FullName, JsonSerializer.Serialize(limits, JsonFormat.Options) + "\n");
        if (csvFile is not null)
            Csv.Write(csvFile.FullName, limits.ToLimits().Select(limit => limit.ToRow()));
    }
}

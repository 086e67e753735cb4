using System.Globalization;
using Samples;
using Spectre.Console;

namespace StockRivals;

/// <summary>Shows what was measured.</summary>
internal static class Report
{
    /// <summary>Prints a table with a row for each side, and writes one with a row for each training.</summary>
    /// <param name="measured">What was measured.</param>
    /// <param name="name">The contest.</param>
    /// <param name="folder">Receives <c>NAME.csv</c>; null for no file.</param>
    public static void Write(IReadOnlyList<Measurement> measured, string name, string? folder)
    {
        var table = new Table().AddColumns("model", "accuracy", "log-loss", "Fit, s", "images/s scored", "zip, KB");
        foreach (var column in table.Columns.Skip(1))
            column.RightAligned().NoWrap();
        foreach (var side in measured.GroupBy(one => one.Name))
        {
            table.AddRow(
                Markup.Escape(side.Key),
                Spread.Of(side.Select(one => one.Accuracy), "F4"),
                Spread.Of(side.Select(one => one.LogLoss), "F4"),
                Spread.Of(side.Select(one => one.FitSeconds), "F0"),
                Spread.Of(side.Select(one => one.ScoredPerSecond), "F0"),
                (side.Average(one => one.ZipBytes) / 1024).ToString("N0", CultureInfo.InvariantCulture));
        }
        if (Console.IsOutputRedirected)
            AnsiConsole.Profile.Width = 160;
        AnsiConsole.Write(table);

        if (folder is null)
            return;
        Directory.CreateDirectory(folder);
        Csv.Write(Path.Combine(folder, $"{name}.csv"), measured.Select(one => new (string, object?)[]
        {
            ("model", one.Name),
            ("seed", one.Seed),
            ("training images", one.TrainingImages),
            ("accuracy", one.Accuracy),
            ("log-loss", one.LogLoss),
            ("fit seconds", one.FitSeconds),
            ("scored images/s", one.ScoredPerSecond),
            ("zip bytes", one.ZipBytes),
            ("processors", Environment.ProcessorCount),
        }));
    }
}

using Samples;

namespace GeneralistSample;

/// <summary>The comparison of routers in a folder: tables of the trainings, of interference and of the experts' activation.</summary>
internal static class RouterTables
{
    private const string Runs = "routers.csv";
    private const string Interference = "interference.csv";
    private const string Activation = "activation.csv";
    private const string OfChance = ", chance";
    private const string StepFor = "step for ";

    /// <summary>The trainings that a folder holds.</summary>
    /// <param name="folder">The folder; null for none.</param>
    /// <exception cref="InvalidDataException">Its files hold something else.</exception>
    public static IReadOnlyList<RouterRun> Read(string? folder)
    {
        if (folder is null || !File.Exists(Path.Combine(folder, Runs)))
            return [];
        var interference = ReadRows(folder, Interference);
        var activation = ReadRows(folder, Activation);
        return [.. Csv.Read(Path.Combine(folder, Runs)).Select(row => new RouterRun(
            row["router"], (int)row.Number("seed"), (int)row.Number("steps"), (long)row.Number("parameters"),
            [
                .. row.Cells.Keys.Where(column => column.EndsWith(OfChance, StringComparison.Ordinal))
                    .Select(column => ToScore(row, column[..^OfChance.Length])),
            ],
            interference.Contains(Key(row)) ? [.. interference[Key(row)].Select(ToInterference)] : null,
            activation.Contains(Key(row)) ? [.. activation[Key(row)].Select(ToActivation)] : null))];
    }

    /// <summary>Writes the tables, over those that are there.</summary>
    /// <param name="folder">The folder, made where it is missing; null for nothing to do.</param>
    /// <param name="runs">Every training.</param>
    /// <param name="report">The table for readers.</param>
    public static void Write(string? folder, IReadOnlyList<RouterRun> runs, string report)
    {
        if (folder is null)
            return;
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "routers.md"), report);
        Csv.Write(Path.Combine(folder, Interference), runs.SelectMany(run => (run.Interference ?? []).Select(row => Of(
            run, [("block", row.Block), ("loss of", row.Task), .. row.Steps.Select(step => (StepFor + step.Key, (object?)step.Value))]))));
        Csv.Write(Path.Combine(folder, Activation), runs.SelectMany(run => (run.Activation ?? []).Select(row => Of(
            run,
            [
                ("block", row.Block), ("gate", row.Gate), ("tokens", row.Tokens),
                .. row.Shares.Select((share, expert) => ($"expert {expert + 1}", (object?)share)),
            ]))));
        Csv.Write(Path.Combine(folder, Runs), runs.Select(run => Of(
            run,
            [
                ("steps", run.Steps), ("parameters", run.Parameters),
                .. run.Scores.SelectMany(score =>
                    new (string, object?)[] { (NameOf(score), score.Value), (NameOf(score) + OfChance, score.Chance) }),
            ])));
    }

    private static string NameOf(TaskScore score) => $"{score.Task}: {score.Metric}";

    private static IEnumerable<(string Column, object? Value)> Of(RouterRun run, IEnumerable<(string Column, object? Value)> values) =>
        [("router", run.Router), ("seed", run.Seed), .. values];

    private static ILookup<(string Router, double Seed), CsvRow> ReadRows(string folder, string table) =>
        (File.Exists(Path.Combine(folder, table)) ? Csv.Read(Path.Combine(folder, table)) : []).ToLookup(Key);

    private static (string Router, double Seed) Key(CsvRow row) => (row["router"], row.Number("seed"));

    private static TaskScore ToScore(CsvRow row, string name)
    {
        var colon = name.LastIndexOf(": ", StringComparison.Ordinal);
        return new TaskScore(name[..colon], name[(colon + 2)..], row.Number(name), row.Number(name + OfChance));
    }

    private static InterferenceRow ToInterference(CsvRow row) => new(
        (int)row.Number("block"), row["loss of"],
        row.Cells.Keys.Where(column => column.StartsWith(StepFor, StringComparison.Ordinal))
            .ToDictionary(column => column[StepFor.Length..], row.Number));

    private static ActivationRow ToActivation(CsvRow row) =>
        new((int)row.Number("block"), row["gate"], row["tokens"], [.. row.Curve("expert").Select(expert => expert.Value)]);
}

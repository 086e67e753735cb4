using System.Globalization;
using System.Text;
using System.Text.Json;
using Samples;

namespace GeneralistSample;

/// <summary>What the comparison of routers gave, as Markdown for readers and as JSON for whoever draws it.</summary>
internal static class RouterReport
{
    private const string Name = "routers";

    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true, PropertyNamingPolicy = JsonNamingPolicy.CamelCase };

    /// <summary>The trainings that a folder holds.</summary>
    /// <param name="folder">The folder; null for none.</param>
    /// <exception cref="InvalidDataException">Its file holds something else.</exception>
    public static IReadOnlyList<RouterRun> ReadRuns(string? folder)
    {
        if (folder is null || Path.Combine(folder, $"{Name}.json") is var file && !File.Exists(file))
            return [];
        try
        {
            return JsonSerializer.Deserialize<RouterRun[]>(File.ReadAllText(file), Json) ?? [];
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"'{file}' is not a table of trainings: {e.Message}", e);
        }
    }

    /// <summary>Writes the table and the trainings, one after the other.</summary>
    /// <param name="folder">The folder, made where it is missing; null for nothing to do.</param>
    /// <param name="runs">Every training.</param>
    /// <param name="routers">The routers in the order of the columns.</param>
    /// <param name="command">The arguments that run the comparison.</param>
    public static void Write(string? folder, IReadOnlyList<RouterRun> runs, IReadOnlyList<string> routers, string command)
    {
        if (folder is null)
            return;
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, $"{Name}.md"), ToMarkdown(runs, routers, command));
        File.WriteAllText(Path.Combine(folder, $"{Name}.json"), JsonSerializer.Serialize(runs, Json));
    }

    /// <summary>A table with a row for each metric, means with standard deviations over the seeds, and the interference of tasks.</summary>
    /// <param name="runs">Every training, at least one.</param>
    /// <param name="routers">The routers in the order of the columns.</param>
    /// <param name="command">The arguments that run the comparison.</param>
    public static string ToMarkdown(IReadOnlyList<RouterRun> runs, IReadOnlyList<string> routers, string command)
    {
        string[] present = [.. routers.Where(router => runs.Any(run => run.Router == router))];
        int[] seeds = [.. runs.Select(run => run.Seed).Distinct().Order()];
        var text = new StringBuilder();
        text.AppendLine("## What chooses the experts").AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"`-- {command}`: {runs[0].Steps:N0} steps, {(seeds.Length == 1 ? "seed" : "seeds")} {string.Join(", ", seeds)}; on test rows. Perplexity: lower is better.").AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"| task | metric | chance | {string.Join(" | ", present)} |");
        text.AppendLine(CultureInfo.InvariantCulture, $"|---|---|---|{string.Concat(present.Select(_ => "---|"))}");
        foreach (var score in runs.OrderByDescending(run => run.Scores.Count).First().Scores)
        {
            var values = present.Select(router => runs.Where(run => run.Router == router).SelectMany(run => run.Scores).Where(other => (other.Task, other.Metric) == (score.Task, score.Metric)).Select(other => other.Value).ToArray());
            text.AppendLine(CultureInfo.InvariantCulture, $"| {score.Task} | {score.Metric} | {Format(score.Chance)} | {string.Join(" | ", values.Select(all => all.Length == 0 ? "–" : Spread.Of(all, FormatOf(score.Value))))} |");
        }
        text.AppendLine(CultureInfo.InvariantCulture, $"| parameters | | | {string.Join(" | ", present.Select(router => Of(router).First().Parameters.ToString("N0", CultureInfo.InvariantCulture)))} |");

        foreach (var router in present.Where(router => Of(router).All(run => run.Interference is not null)))
            AppendInterference(text, router, [.. Of(router)]);
        return text.ToString();

        IEnumerable<RouterRun> Of(string router) => runs.Where(run => run.Router == router);
    }

    // A task that its own steps hardly help divides by next to nothing: medians. The blocks one by one are in the JSON.
    private static void AppendInterference(StringBuilder text, string router, RouterRun[] runs)
    {
        var layers = runs.SelectMany(run => run.Interference!).ToArray();
        var tasks = layers[0].Tasks;
        text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"### Interference, {router}").AppendLine();
        text.AppendLine("What a small step for the task of the column does to the loss of the task of the row, relative to a step for itself (ratio of means, median over blocks and seeds).").AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"| | {string.Join(" | ", tasks)} |");
        text.AppendLine(CultureInfo.InvariantCulture, $"|---|{string.Concat(tasks.Select(_ => "---|"))}");
        for (var row = 0; row < tasks.Count; row++)
            text.AppendLine(CultureInfo.InvariantCulture, $"| {tasks[row]} | {string.Join(" | ", tasks.Select((_, column) => Median(layers.Select(layer => layer.RatioOfMeans[row][column])).ToString("+0.00;-0.00;0.00", CultureInfo.InvariantCulture)))} |");
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static string FormatOf(double value) => value >= 10 ? "F1" : "F3";

    private static string Format(double value) => value.ToString(FormatOf(value), CultureInfo.InvariantCulture);
}

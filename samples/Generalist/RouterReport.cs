using System.Globalization;
using System.Text;
using Samples;

namespace GeneralistSample;

/// <summary>What the comparison of routers gave, as Markdown for readers.</summary>
internal static class RouterReport
{
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
        text.AppendLine(
                CultureInfo.InvariantCulture,
                $"`-- {command}`: {runs[0].Steps:N0} steps, {(seeds.Length == 1 ? "seed" : "seeds")} {string.Join(", ", seeds)}; on test "
                    + $"rows. Perplexity: lower is better.")
            .AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"| task | metric | chance | {string.Join(" | ", present)} |");
        text.AppendLine(CultureInfo.InvariantCulture, $"|---|---|---|{string.Concat(present.Select(_ => "---|"))}");
        foreach (var score in runs.OrderByDescending(run => run.Scores.Count).First().Scores)
        {
            var values = present.Select(router =>
                runs.Where(run => run.Router == router)
                    .SelectMany(run => run.Scores)
                    .Where(other => (other.Task, other.Metric) == (score.Task, score.Metric))
                    .Select(other => other.Value)
                    .ToArray());
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"| {score.Task} | {score.Metric} | {Format(score.Chance)} | "
                    + $"{string.Join(" | ", values.Select(all => all.Length == 0 ? "–" : Spread.Of(all, FormatOf(score.Value))))} |");
        }
        text.AppendLine(
            CultureInfo.InvariantCulture,
            $"| parameters | | | "
                + $"{string.Join(" | ", present.Select(router => Of(router).First().Parameters.ToString("N0", CultureInfo.InvariantCulture)))} |");

        foreach (var router in present.Where(router => Of(router).All(run => run.Interference is not null)))
            AppendInterference(text, router, [.. Of(router)]);
        return text.ToString();

        IEnumerable<RouterRun> Of(string router) => runs.Where(run => run.Router == router);
    }

    // A task that its own steps hardly help divides by next to nothing: medians. The blocks one by one are in interference.csv.
    private static void AppendInterference(StringBuilder text, string router, RouterRun[] runs)
    {
        var rows = runs.SelectMany(run => run.Interference!).ToArray();
        string[] tasks = [.. rows.Select(row => row.Task).Distinct()];
        text.AppendLine().AppendLine(CultureInfo.InvariantCulture, $"### Interference, {router}").AppendLine();
        text.AppendLine(
                "What a small step for the task of the column does to the loss of the task of the row, relative to a step for itself "
                    + "(ratio of means, median over blocks and seeds).")
            .AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"| | {string.Join(" | ", tasks)} |");
        text.AppendLine(CultureInfo.InvariantCulture, $"|---|{string.Concat(tasks.Select(_ => "---|"))}");
        foreach (var task in tasks)
        {
            var medians = tasks.Select(step => Median(rows.Where(row => row.Task == task).Select(row => row.Steps[step])));
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"| {task} | {string.Join(" | ", medians.Select(median => median.ToString("+0.00;-0.00;0.00", CultureInfo.InvariantCulture)))} |");
        }
    }

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    private static string FormatOf(double value) => value >= 10 ? "F1" : "F3";

    private static string Format(double value) => value.ToString(FormatOf(value), CultureInfo.InvariantCulture);
}

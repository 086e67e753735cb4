using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Routing;

namespace GeneralistSample;

/// <summary>Models that differ in what chooses their experts, trained alike (Uni-Perceiver-MoE, arXiv 2206.04674, table 3 and figure 1).</summary>
internal static class RouterComparison
{
    /// <summary>The model without experts.</summary>
    public const string NoExperts = "no experts";

    private const int Steps = 1500;
    private const int InterferenceBatches = 16;

    private static readonly (string Name, RoutingLevel? Level)[] Routers =
        [(NoExperts, null), ("token", RoutingLevel.Token), ("context", RoutingLevel.Context), ("modality", RoutingLevel.Modality), ("task", RoutingLevel.Task), ("attribute", RoutingLevel.Attribute)];

    /// <summary>Trains all, prints a table, and writes <c>routers.md</c> and <c>routers.json</c> after each training where a results folder is given. What the folder has already is not trained again.</summary>
    /// <param name="line">What the user asked for.</param>
    /// <returns>The process's exit code.</returns>
    public static int Run(CommandLine line)
    {
        var (runs, steps) = (RouterReport.ReadRuns(line.Results), line.Steps ?? Steps);
        string[] tasks = [.. SampleData.Read(new MLContext(), line.Data).Tasks.Select(task => task.Name)];
        if (runs.FirstOrDefault(run => run.Steps != steps || !tasks.All(run.Scores.Select(score => score.Task).Contains)) is { } other)
            throw new InvalidDataException($"'{line.Results}' holds trainings of {other.Steps} steps on {string.Join(", ", other.Scores.Select(score => score.Task).Distinct())}, and this one is of {steps} steps on {string.Join(", ", tasks)}: name another folder.");
        for (var seed = line.Seeds.First; seed <= line.Seeds.Last; seed++)   // the seeds outside, so that whatever else the machine does meets all routers
        {
            foreach (var (name, level) in Routers)
            {
                if (runs.Any(other => (other.Router, other.Seed) == (name, seed)))
                    continue;
                var clock = Stopwatch.StartNew();
                var run = Train(line.Data, steps, name, level, seed);
                Console.Error.WriteLine(string.Create(
                    CultureInfo.InvariantCulture, $"{name}, seed {seed}, {clock.Elapsed.TotalMinutes:F1} minutes: {string.Join(", ", run.Scores.Select(score => $"{score.Task} {score.Metric} {score.Value:F3}"))}"));
                runs = [.. runs, run];
                RouterReport.Write(line.Results, runs, [.. Routers.Select(router => router.Name)], line.Command);
            }
        }
        Console.WriteLine(RouterReport.ToMarkdown(runs, [.. Routers.Select(router => router.Name)], line.Command));
        return 0;
    }

    private static RouterRun Train(string? folder, int steps, string name, RoutingLevel? level, int seed)
    {
        var mlContext = new MLContext(seed);
        var data = SampleData.Read(mlContext, folder);
        var options = SampleModel.Options(data, steps);
        var block = options.Architecture!.Block;
        options.Architecture = options.Architecture with { Block = level is { } routed ? block with { RoutingLevel = routed } : block with { Experts = null } };
        options.Threads = 1;   // so that two comparisons can run side by side
        using var model = mlContext.Transforms.UniPerceiverGeneralist(options).Fit(data.Combine(mlContext));

        var scores = Scoring.Measure(mlContext, model, data).ToList();
        if (data.Unseen is var (task, _) && level != RoutingLevel.Task)   // a router of tasks knows those that were trained
            scores.AddRange(Scoring.Measure(mlContext, model, task, data));
        var interference = level is null or RoutingLevel.Attribute
            ? model.MeasureInterference([.. data.Tasks.Select(each => (each.Name, data.Training[each.Name]))], InterferenceBatches, seed: seed)
            : null;
        return new RouterRun(name, seed, steps, model.Model.Config.GetCost().Parameters, scores, interference, level is null ? null : ActivationRow.Measure(model, data));
    }
}

using System.CommandLine;
using System.CommandLine.Parsing;
using System.Diagnostics;
using System.Globalization;
using Microsoft.ML;
using Microsoft.ML.MoE.Estimators;
using Microsoft.ML.MoE.Routing;
using Samples;

namespace GeneralistSample;

/// <summary>
/// Models that differ in what chooses their experts, trained alike (Uni-Perceiver-MoE, arXiv 2206.04674, table 3 and figure 1).
/// </summary>
internal static class RouterComparison
{
    /// <summary>The model without experts.</summary>
    public const string NoExperts = "no experts";

    private const int Steps = 1500;
    private const int StandardSeeds = 3;
    private const int InterferenceBatches = 16;

    private static readonly (string Name, RoutingLevel? Level)[] Routers =
    [
        (NoExperts, null),
        ("token", RoutingLevel.Token),
        ("context", RoutingLevel.Context),
        ("modality", RoutingLevel.Modality),
        ("task", RoutingLevel.Task),
        ("attribute", RoutingLevel.Attribute),
    ];

    /// <summary>
    /// The command <c>routers</c>: trains all, prints a table, and writes it after each training where a results folder is given.
    /// </summary>
    /// <param name="data">The option with the folder of real data.</param>
    /// <param name="steps">The option with the steps of each training.</param>
    public static Command CreateCommand(Option<string?> data, Option<int?> steps)
    {
        var seeds = new Option<(int First, int Last)?>("--seeds")
        {
            Description = $"How many seeds from 1, or the first and the last; 1-{StandardSeeds} if it is left out.",
            HelpName = "N|FIRST-LAST",
            CustomParser = ReadSeeds,
        };
        var results = Arguments.Results();
        results.Description += " What it holds already is not trained again.";
        var command = new Command("routers", "A model without experts, and one with each of the five routers.")
        {
            data,
            steps,
            seeds,
            results,
        };
        command.SetAction(line =>
            Run(line.GetValue(data), line.GetValue(steps), line.GetValue(seeds) ?? (1, StandardSeeds), line.GetValue(results)));
        return command;
    }

    private static void Run(string? folder, int? wantedSteps, (int First, int Last) seeds, string? results)
    {
        var (runs, steps) = (RouterTables.Read(results), wantedSteps ?? Steps);
        var command =
            "routers"
            + (folder is null ? "" : " --data DIR")
            + (wantedSteps is null ? "" : string.Create(CultureInfo.InvariantCulture, $" --steps {steps}"));
        string[] routers = [.. Routers.Select(router => router.Name)];
        string[] tasks = [.. SampleData.Read(new MLContext(), folder).Tasks.Select(task => task.Name)];
        if (runs.FirstOrDefault(run => run.Steps != steps || !tasks.All(run.Scores.Select(score => score.Task).Contains)) is { } other)
        {
            throw new InvalidDataException(
                $"'{results}' holds trainings of {other.Steps} steps on "
                    + $"{string.Join(", ", other.Scores.Select(score => score.Task).Distinct())}, "
                + $"and this one is of {steps} steps on {string.Join(", ", tasks)}: name another folder.");
        }
        // The seeds outside, so that whatever else the machine does meets all routers.
        for (var seed = seeds.First; seed <= seeds.Last; seed++)
        {
            foreach (var (name, level) in Routers)
            {
                if (runs.Any(other => (other.Router, other.Seed) == (name, seed)))
                    continue;
                var clock = Stopwatch.StartNew();
                var run = Train(folder, steps, name, level, seed);
                Console.Error.WriteLine(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"{name}, seed {seed}, {clock.Elapsed.TotalMinutes:F1} minutes: "
                            + $"{string.Join(", ", run.Scores.Select(score => $"{score.Task} {score.Metric} {score.Value:F3}"))}"));
                runs = [.. runs, run];
                RouterTables.Write(results, runs, RouterReport.ToMarkdown(runs, routers, command));
            }
        }
        Console.WriteLine(RouterReport.ToMarkdown(runs, routers, command));
    }

    private static (int First, int Last)? ReadSeeds(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (text.Split('-') is not [var first, var last])
            return (1, Arguments.ReadNumber(result, text));
        var seeds = (First: Arguments.ReadNumber(result, first), Last: Arguments.ReadNumber(result, last));
        if (seeds.First > seeds.Last)
            result.AddError($"{Arguments.NameOf(result)} is '{text}'; the first seed must not be above the last.");
        return seeds;
    }

    private static RouterRun Train(string? folder, int steps, string name, RoutingLevel? level, int seed)
    {
        var mlContext = new MLContext(seed);
        var data = SampleData.Read(mlContext, folder);
        var options = SampleModel.Options(data, steps);
        var block = options.Architecture!.Block;
        options.Architecture = options.Architecture with
        {
            Block = level is { } routed ? block with { RoutingLevel = routed } : block with { Experts = null },
        };
        options.Threads = 1;   // so that two comparisons can run side by side
        using var model = mlContext.Transforms.UniPerceiverGeneralist(options).Fit(data.Combine(mlContext));

        var scores = Scoring.Measure(mlContext, model, data).ToList();
        if (data.Unseen is var (task, _) && level != RoutingLevel.Task)   // a router of tasks knows those that were trained
            scores.AddRange(Scoring.Measure(mlContext, model, task, data));
        var interference = level is null or RoutingLevel.Attribute
            ? model
                .MeasureInterference([.. data.Tasks.Select(each => (each.Name, data.Training[each.Name]))], InterferenceBatches, seed: seed)
                .SelectMany(InterferenceRow.Of)
                .ToList()
            : null;
        return new RouterRun(
            name,
            seed,
            steps,
            model.Model.Config.GetCost().Parameters,
            scores,
            interference,
            level is null ? null : ActivationRow.Measure(model, data));
    }
}

using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Samples;

namespace Shakespeare.Comparison;

/// <summary>
/// The command <c>compare</c>: trains models of equal multiply-adds a token side by side, for as many steps or for as long.
/// </summary>
internal static class ComparisonCommand
{
    private const int NanoGptSteps = 2000;
    private const int StandardSeeds = 3;

    /// <summary>
    /// Makes the command, which prints a table, and writes <c>steps.md</c> and <c>steps.csv</c> (or <c>minutes</c>, or <c>tune</c>) where
    /// a results folder is given.
    /// </summary>
    public static Command Create()
    {
        var steps = Arguments.Number("--steps", $"Steps of each training; {NanoGptSteps} if neither these nor minutes are given.");
        var minutes = new Option<double?>("--minutes")
        {
            Description = "Minutes of each training.",
            HelpName = "M",
            CustomParser = ReadMinutes,
        };
        var models = new Option<string[]?>("--models")
        {
            Description = "Some of the models: dense,PKM,MoE,PEER.",
            HelpName = "NAMES",
            CustomParser = ReadModels,
        };
        var seeds = Arguments.Number("--seeds", $"Trainings of each model; {StandardSeeds} if it is left out, 1 to tune.");
        var tune = new Option<bool>("--tune") { Description = "Tries learning rates and sizes on a part of the training text." };
        var results = Arguments.Results();

        var command = new Command("compare", "Dense, PKM, MoE and PEER models beside each other.")
        {
            steps,
            minutes,
            models,
            seeds,
            tune,
            results,
        };
        command.Validators.Add(result =>
        {
            if (result.GetResult(steps) is not null && result.GetResult(minutes) is not null)
                result.AddError("--steps and --minutes exclude one another.");
        });
        command.SetAction(line =>
            Run(
                line.GetValue(minutes) is { } limit
                    ? new Budget(null, TimeSpan.FromMinutes(limit))
                    : new Budget(line.GetValue(steps) ?? NanoGptSteps, null),
                line.GetValue(models),
                line.GetValue(seeds),
                line.GetValue(tune),
                line.GetValue(results)));
        return command;
    }

    private static void Run(Budget budget, string[]? models, int? seeds, bool tune, string? results)
    {
        var text = ShakespeareText.Read();
        var (name, title) = tune
            ? ("tune", "Learning rates and sizes, on a tenth of the training part")
            : (budget.Name, "Dense, PKM, MoE and PEER at equal multiply-adds a token");
        var trained = tune   // what the models are judged by in the end takes no part in the choice
            ? ComparisonRunner.Run(
                Wanted(VariantCatalog.WithOtherOptions), budget, seeds ?? 1, text.Training.Split(), Console.Error.WriteLine)
            : ComparisonRunner.Run(Wanted(VariantCatalog.All), budget, seeds ?? StandardSeeds, text, Console.Error.WriteLine);
        var report = ComparisonReport.ToMarkdown(title, budget, trained);
        Console.WriteLine(report);
        if (results is not null)
        {
            Directory.CreateDirectory(results);
            File.WriteAllText(Path.Combine(results, $"{name}.md"), report);
            Csv.Write(Path.Combine(results, $"{name}.csv"), ComparisonReport.ToRows(budget, trained));
        }

        IReadOnlyList<Variant> Wanted(IReadOnlyList<Variant> all) =>
            models is null ? all : [.. all.Where(variant => models.Any(model => IsOf(variant, model)))];
    }

    private static double? ReadMinutes(ArgumentResult result)
    {
        var text = result.Tokens[0].Value;
        if (
            double.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var minutes) && minutes is > 0 and < 1e6)
            return minutes;
        result.AddError($"{Arguments.NameOf(result)} is '{text}'; a number above 0 is wanted, such as 0.5.");
        return null;
    }

    private static string[]? ReadModels(ArgumentResult result)
    {
        var names = result.Tokens[0].Value.Split(',');
        if (names.FirstOrDefault(name => !VariantCatalog.All.Any(variant => IsOf(variant, name))) is not { } unknown)
            return names;
        result.AddError($"'{unknown}' is not a model; there are {string.Join(", ", VariantCatalog.All.Select(Model).Distinct())}.");
        return null;
    }

    private static bool IsOf(Variant variant, string model) => Model(variant) == model;

    // A model is called by the first word of its name.
    private static string Model(Variant variant) => variant.Name.Split(' ', ',', ';')[0];
}

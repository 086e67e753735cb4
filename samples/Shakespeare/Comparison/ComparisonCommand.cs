using System.Globalization;

namespace Shakespeare.Comparison;

/// <summary>The command <c>compare</c>.</summary>
internal static class ComparisonCommand
{
    private const int NanoGptSteps = 2000;

    /// <summary>What may follow <c>compare</c>.</summary>
    public const string Usage = "compare [--steps N | --minutes M] [--models dense,PKM,MoE,PEER] [--seeds N] [--tune] [--results DIR]";

    /// <summary>Compares, prints a table, and writes <c>steps.md</c> and <c>steps.json</c> (or <c>minutes</c>, or <c>tune</c>) where a results folder is given.</summary>
    /// <param name="arguments">The arguments after <c>compare</c>.</param>
    /// <returns>The process's exit code.</returns>
    public static int Run(ReadOnlySpan<string> arguments)
    {
        var (steps, minutes, models, seeds, tune, results) = ((int?)null, (double?)null, (string[]?)null, (int?)null, false, (string?)null);
        for (var i = 0; i < arguments.Length; i++)
        {
            var (argument, value) = (arguments[i], i + 1 < arguments.Length ? arguments[i + 1] : null);
            switch (argument)
            {
                case "--steps" when minutes is null && int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1:
                    (steps, i) = (number, i + 1);
                    break;
                case "--minutes" when steps is null && double.TryParse(value, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var time) && time is > 0 and < 1e6:
                    (minutes, i) = (time, i + 1);
                    break;
                case "--seeds" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var count) && count >= 1:
                    (seeds, i) = (count, i + 1);
                    break;
                case "--models" when value?.Split(',') is { } names && names.All(name => VariantCatalog.All.Any(variant => IsOf(variant, name))):
                    (models, i) = (names, i + 1);
                    break;
                case "--results" when value is not null:
                    (results, i) = (value, i + 1);
                    break;
                case "--tune":
                    tune = true;
                    break;
                default:
                    Console.Error.WriteLine($"'{argument}{(value is null ? "" : $" {value}")}' is not understood. Usage: {Usage}");
                    return 2;
            }
        }

        var budget = minutes is { } limit ? new Budget(null, TimeSpan.FromMinutes(limit)) : new Budget(steps ?? NanoGptSteps, null);
        var text = ShakespeareText.Read();
        var (name, title) = tune ? ("tune", "Learning rates and sizes, on a tenth of the training part") : (budget.Name, "Dense, PKM, MoE and PEER at equal multiply-adds a token");
        var trained = tune   // what the models are judged by in the end takes no part in the choice
            ? ComparisonRunner.Run(Wanted(VariantCatalog.WithOtherOptions), budget, seeds ?? 1, text.Training.Split(), Console.Error.WriteLine)
            : ComparisonRunner.Run(Wanted(VariantCatalog.All), budget, seeds ?? 3, text, Console.Error.WriteLine);
        var report = ComparisonReport.ToMarkdown(title, budget, trained);
        Console.WriteLine(report);
        if (results is not null)
        {
            Directory.CreateDirectory(results);
            File.WriteAllText(Path.Combine(results, $"{name}.md"), report);
            File.WriteAllText(Path.Combine(results, $"{name}.json"), ComparisonReport.ToJson(title, budget, trained));
        }
        return 0;

        IReadOnlyList<Variant> Wanted(IReadOnlyList<Variant> all) => models is null ? all : [.. all.Where(variant => models.Any(name => IsOf(variant, name)))];
    }

    // A model is called by the first word of its name.
    private static bool IsOf(Variant variant, string model) => variant.Name.Split(' ', ',', ';')[0] == model;
}

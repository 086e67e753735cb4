using System.Globalization;
using Samples.Comparison;

namespace FashionMnist.Comparison;

/// <summary>The command <c>compare</c>: <c>compare [EXPERIMENT] [--seeds N] [--data DIR] [--results DIR]</c>.</summary>
internal static class ComparisonCommand
{
    /// <summary>What may follow <c>compare</c>.</summary>
    public static string Usage => $"compare [{string.Join('|', ExperimentCatalog.All.Select(experiment => experiment.Name))}] [--seeds N] [--data DIR] [--results DIR]";

    /// <summary>Runs an experiment, prints its table, and writes <c>NAME.md</c> and <c>NAME.json</c> where a results folder is given.</summary>
    /// <param name="arguments">The arguments after <c>compare</c>.</param>
    /// <returns>The process's exit code.</returns>
    public static int Run(ReadOnlySpan<string> arguments)
    {
        var experiment = ExperimentCatalog.Models;
        var (seeds, directory, results) = (3, FashionMnistData.ShippedDirectory, (string?)null);
        for (var i = 0; i < arguments.Length; i++)
        {
            var (argument, value) = (arguments[i], i + 1 < arguments.Length ? arguments[i + 1] : null);
            switch (argument)
            {
                case "--seeds" when int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out seeds) && seeds >= 1:
                    i++;
                    break;
                case "--data" when Directory.Exists(value):
                    (directory, i) = (value!, i + 1);
                    break;
                case "--results" when value is not null:
                    (results, i) = (value, i + 1);
                    break;
                case var name when i == 0 && ExperimentCatalog.All.FirstOrDefault(candidate => candidate.Name == name) is { } found:
                    experiment = found;
                    break;
                default:
                    Console.Error.WriteLine($"'{argument}{(value is null ? "" : $" {value}")}' is not understood, or names a folder that is not there. Usage: {Usage}");
                    return 2;
            }
        }

        ComparisonRun.Run(experiment, Images(directory), seeds, $"compare {experiment.Name}", results);
        return 0;
    }

    private static ImageSet Images(string directory) =>
        ImageSet.Create(directory, FashionMnistData.Size, FashionMnistData.ReadTrain(directory), FashionMnistData.ReadTest(directory), FashionMnistData.ClassNames);
}

namespace Samples.Comparison;

/// <summary>Runs an experiment for someone at a terminal.</summary>
internal static class ComparisonRun
{
    /// <summary>
    /// Runs it, says on the error output how far it is, prints its table, and writes <c>NAME.md</c> and <c>NAME.csv</c> where a
    /// results folder is given.
    /// </summary>
    /// <param name="experiment">What to train.</param>
    /// <param name="images">What to train and test on.</param>
    /// <param name="seeds">How many seeds, from 1.</param>
    /// <param name="command">The program's arguments that run it, for the report.</param>
    /// <param name="results">The folder for results, made where it is missing; null for none.</param>
    /// <returns>Every training.</returns>
    /// <exception cref="InvalidDataException">There are too few images.</exception>
    public static IReadOnlyList<TrainedVariant> Run(Experiment experiment, ImageSet images, int seeds, string command, string? results)
    {
        var trained = ComparisonRunner.Run(experiment, images, seeds, Console.Error.WriteLine);
        var report = ComparisonReport.ToMarkdown(experiment, trained, command);
        Console.WriteLine(report);
        if (results is not null)
        {
            Directory.CreateDirectory(results);
            File.WriteAllText(Path.Combine(results, $"{experiment.Name}.md"), report);
            Csv.Write(Path.Combine(results, $"{experiment.Name}.csv"), ComparisonReport.ToRows(trained));
        }
        return trained;
    }
}

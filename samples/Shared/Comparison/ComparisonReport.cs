using System.Globalization;
using System.Text;

namespace Samples.Comparison;

/// <summary>What an experiment gave, as Markdown for readers and as rows of a table for whoever draws the curves.</summary>
internal static class ComparisonReport
{
    /// <summary>A section with a table: a row for each variant, means with standard deviations over the seeds.</summary>
    /// <param name="experiment">What was compared.</param>
    /// <param name="trained">Every training of it.</param>
    /// <param name="command">The arguments that run it.</param>
    public static string ToMarkdown(Experiment experiment, IReadOnlyList<TrainedVariant> trained, string command)
    {
        var seeds = trained.Select(run => run.Seed).Distinct().Count();
        var first = OfVariant(trained, experiment.Variants[0]);
        var diverse = trained.Any(run => run.LayerNormDiversity is not null) && experiment.Name == "layernorms";
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"## {experiment.Title}").AppendLine();
        text.AppendLine(
                CultureInfo.InvariantCulture,
                $"`-- {command}`: {experiment.TrainingImages:N0} training images, {Count(experiment.Epochs, "epoch")}, "
                    + $"{Count(seeds, "seed")}; accuracy on all test images.{Unlabelled(experiment)}")
            .AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"The paper: {experiment.Paper}").AppendLine();
        text.AppendLine(
            CultureInfo.InvariantCulture,
            $"| model | parameters | MMACs | accuracy | to the first | last training loss | images/s | load variation | dropped "
                + $"|{(diverse ? " LayerNorm diversity |" : "")}");
        text.AppendLine(CultureInfo.InvariantCulture, $"|---|---|---|---|---|---|---|---|---|{(diverse ? "---|" : "")}");
        foreach (var variant in experiment.Variants)
        {
            var runs = OfVariant(trained, variant);
            var differences = runs.Zip(first, (run, reference) => run.TestAccuracy - reference.TestAccuracy).ToArray();
            text.Append(
                string.Create(
                    CultureInfo.InvariantCulture,
                    $"| {variant.Name} | {runs[0].Cost.Parameters:N0} | {runs[0].Cost.ForwardMacs / 1e6:F1} | "
                        + $"{Spread.Of(runs.Select(run => run.TestAccuracy), "F4")} | "
                        + $"{(variant == experiment.Variants[0] ? "" : $"{Spread.Of(differences, "+0.0000;-0.0000")}, above in {differences.Count(difference => difference > 0)} of {seeds}")} | "
                        + $"{Spread.Of(runs.Select(run => run.TrainingLoss), "F3")} | "
                        + $"{Median(runs.Select(run => run.ImagesPerSecond)):N0} | {Optional(runs, run => run.LoadVariation, "F3")} | "
                        + $"{Optional(runs, run => run.DroppedFraction, "P1")} |"));
            text.AppendLine(diverse ? $" {Optional(runs, run => run.LayerNormDiversity, "F3")} |" : "");
        }
        return text.ToString();
    }

    /// <summary>A row for each training, its curve by epoch included.</summary>
    public static IEnumerable<IEnumerable<(string Column, object? Value)>> ToRows(IEnumerable<TrainedVariant> trained) =>
        trained.Select(run =>
            new (string, object?)[]
            {
                ("variant", run.Variant),
                ("seed", run.Seed),
                ("parameters", run.Cost.Parameters),
                ("active parameters", run.Cost.ActiveParameters),
                ("forward MACs", run.Cost.ForwardMacs),
                ("test accuracy", run.TestAccuracy),
                ("training loss", run.TrainingLoss),
                ("images/s", run.ImagesPerSecond),
                ("load variation", run.LoadVariation),
                ("dropped fraction", run.DroppedFraction),
                ("LayerNorm diversity", run.LayerNormDiversity),
            }
                .Concat(run.Curve.Select(point => ($"loss {point.Epoch}", (object?)point.Loss)))
                .Concat(run.Curve.Select(point => ($"accuracy {point.Epoch}", (object?)point.Accuracy))));

    private static string Unlabelled(Experiment experiment) =>
        experiment.UnlabelledImages == 0
            ? ""
            : string.Create(
                CultureInfo.InvariantCulture,
                $" Pre-training: {experiment.UnlabelledImages:N0} other images without labels, "
                    + $"{Count(experiment.PretrainingEpochs, "epoch")}.");

    private static string Count(int number, string unit) => $"{number} {unit}{(number == 1 ? "" : "s")}";

    private static TrainedVariant[] OfVariant(IReadOnlyList<TrainedVariant> trained, Variant variant) =>
        [.. trained.Where(run => run.Variant == variant.Name)];

    private static string Optional(TrainedVariant[] runs, Func<TrainedVariant, double?> select, string format) =>
        runs.All(run => select(run) is not null) ? Spread.Of(runs.Select(run => select(run)!.Value), format) : "–";

    private static double Median(IEnumerable<double> values)
    {
        var sorted = values.Order().ToArray();
        return sorted.Length % 2 == 1 ? sorted[sorted.Length / 2] : (sorted[(sorted.Length / 2) - 1] + sorted[sorted.Length / 2]) / 2;
    }
}

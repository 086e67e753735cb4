using System.Globalization;
using System.Text;
using Samples;

namespace Shakespeare.Comparison;

/// <summary>What a comparison gave, as Markdown for readers and as rows of a table.</summary>
internal static class ComparisonReport
{
    /// <summary>A section with a table: a row for each model, means with standard deviations over the seeds.</summary>
    /// <param name="title">What was compared.</param>
    /// <param name="budget">What each model could spend.</param>
    /// <param name="trained">Every training; the differences are to the first model.</param>
    public static string ToMarkdown(string title, Budget budget, IReadOnlyList<TrainedVariant> trained)
    {
        var variants = trained.GroupBy(run => run.Variant).Select(group => group.ToArray()).ToArray();
        var seeds = variants[0].Length;
        var text = new StringBuilder();
        text.AppendLine(CultureInfo.InvariantCulture, $"## {title}").AppendLine();
        text.AppendLine(CultureInfo.InvariantCulture, $"{budget}, {seeds} seed{(seeds == 1 ? "" : "s")}; losses in nats a character.")
            .AppendLine();
        text.AppendLine(
                "The paper: at equal training FLOPs on C4 (6e18), perplexity 23.84 dense, 21.92 PKM, 21.41 MoE, 20.63 PEER (table 1).")
            .AppendLine();
        text.AppendLine(
            "| model | parameters | MMACs a token | learning rate | steps | validation loss | to the first | training loss | tokens/s | "
                + "usage | unevenness |");
        text.AppendLine("|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (var runs in variants)
        {
            var differences = runs.Zip(variants[0], (run, reference) => run.ValidationLoss - reference.ValidationLoss).ToArray();
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"| {runs[0].Variant} | {runs[0].Cost.Parameters:N0} | {runs[0].Cost.ForwardMacs / 1e6:F3} | {runs[0].LearningRate:0.0e0} "
                    + $"| {Spread.Of(runs.Select(run => (double)run.Steps), "N0")} | "
                    + $"{Spread.Of(runs.Select(run => run.ValidationLoss), "F4")} | "
                    + $"{(runs == variants[0] ? "" : $"{Spread.Of(differences, "+0.0000;-0.0000")}, below in {differences.Count(difference => difference < 0)} of {seeds}")} | "
                    + $"{Spread.Of(runs.Select(run => run.TrainingLoss), "F3")} | "
                    + $"{Spread.Of(runs.Select(run => run.TokensPerSecond), "N0")} | {Optional(runs, usage => usage.Usage, "P1")} | "
                    + $"{Optional(runs, usage => usage.Unevenness, "F2")} |");
        }
        return text.ToString();
    }

    /// <summary>A row for each training.</summary>
    public static IEnumerable<IEnumerable<(string Column, object? Value)>> ToRows(Budget budget, IEnumerable<TrainedVariant> trained) =>
        trained.Select(run =>
            new (string, object?)[]
            {
                ("variant", run.Variant),
                ("seed", run.Seed),
                ("budget", budget),
                ("parameters", run.Cost.Parameters),
                ("active parameters", run.Cost.ActiveParameters),
                ("forward MACs", run.Cost.ForwardMacs),
                ("learning rate", run.LearningRate),
                ("steps", run.Steps),
                ("tokens/s", run.TokensPerSecond),
                ("training loss", run.TrainingLoss),
                ("validation loss", run.ValidationLoss),
                ("experts", run.Usage?.Experts),
                ("usage", run.Usage?.Usage),
                ("unevenness", run.Usage?.Unevenness),
                ("unweighted unevenness", run.Usage?.UnweightedUnevenness),
            }
        );

    private static string Optional(
        TrainedVariant[] runs,
        Func<Microsoft.ML.MoE.Estimators.SparseLayerUsage, double> select,
        string format
    ) => runs.All(run => run.Usage is not null) ? Spread.Of(runs.Select(run => select(run.Usage!)), format) : "–";
}

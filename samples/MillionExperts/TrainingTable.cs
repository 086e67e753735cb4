using System.Globalization;
using System.Text;
using Samples;

namespace MillionExperts;

/// <summary>Trains all sizes, the smallest first, and reports.</summary>
internal static class TrainingTable
{
    // Table 2 of the paper, by number of experts: perplexity on C4, unevenness, without and with batch normalisation. Its usage is 100 %
    // but for 99.8 % at a million without.
    private static readonly Dictionary<(int Experts, bool QueryBatchNorm), (double Perplexity, double Unevenness)> Paper = new()
    {
        [(128 * 128, false)] = (23.47, 0.45),
        [(128 * 128, true)] = (23.47, 0.30),
        [(256 * 256, false)] = (22.61, 0.63),
        [(256 * 256, true)] = (22.55, 0.44),
        [(512 * 512, false)] = (21.54, 0.97),
        [(512 * 512, true)] = (21.47, 0.66),
        [(1024 * 1024, false)] = (20.73, 1.52),
        [(1024 * 1024, true)] = (20.64, 1.06),
    };

    /// <summary>
    /// Trains every size with and without batch normalisation, prints a table, and writes <c>experts.md</c> and <c>experts.csv</c>
    /// where a results folder is given.
    /// </summary>
    /// <param name="sizes">Numbers of experts.</param>
    /// <param name="steps">Steps of each training.</param>
    /// <param name="file">The text.</param>
    /// <param name="results">The folder; null for none.</param>
    /// <param name="saveAs">The zip that the last model is saved to, and loaded from in another process; null for none.</param>
    /// <returns>The process's exit code.</returns>
    public static int Run(IReadOnlyList<int> sizes, int steps, string file, string? results, string? saveAs)
    {
        var trained = new List<TrainedExperts>();
        StoredModel? loaded = null;
        string? failure = null;
        foreach (
            var training in from size in sizes
                            from batchNorm in new[] { false, true }
                            select new Training(size, batchNorm, steps, file, size == sizes[^1] && batchNorm ? saveAs : null))
        {
            try
            {
                trained.Add(TrainingProcess.Train(training));
                if (training.SaveAs is not null)
                    loaded = TrainingProcess.Load(training.SaveAs, file);
            }
            catch (IOException exception)
            {
                failure = exception.Message;   // the larger ones would not fit either
                break;
            }
        }

        if (trained.Count > 0)
        {
            var report = ToMarkdown(trained, steps, file, loaded);
            Console.WriteLine(report);
            if (results is not null)
            {
                Directory.CreateDirectory(results);
                File.WriteAllText(Path.Combine(results, "experts.md"), report);
                Csv.Write(Path.Combine(results, "experts.csv"), ToRows(trained));
            }
        }
        if (failure is null)
            return 0;
        Console.Error.WriteLine(failure);
        return 1;
    }

    /// <summary>A section with a table: a row for each training.</summary>
    internal static string ToMarkdown(IReadOnlyList<TrainedExperts> trained, int steps, string file, StoredModel? loaded = null)
    {
        var text = new StringBuilder();
        text.AppendLine("## PEER by number of experts").AppendLine();
        text.AppendLine(
                CultureInfo.InvariantCulture,
                $"{steps:N0} steps of {Training.TokensPerStep} bytes of `{Path.GetFileName(file)}`, one seed; validation on "
                    + $"{trained[0].ValidationTokens:N0} bytes. Losses are in nats a byte.")
            .AppendLine();
        text.AppendLine(
                "The paper (arXiv 2407.04153, table 2, C4): more experts give a lower perplexity and more unevenness; batch normalisation "
                    + "of the queries gives less unevenness. Its models saw billions of tokens and use all experts.")
            .AppendLine();
        text.AppendLine(
            "| experts | query batch norm | parameters | active | tokens/s | peak memory | training loss | validation loss | usage | "
                + "unevenness | the paper's |");
        text.AppendLine("|---|---|---|---|---|---|---|---|---|---|---|");
        foreach (var one in trained)
        {
            text.AppendLine(
                CultureInfo.InvariantCulture,
                $"| {one.Experts:N0} | {(one.QueryBatchNorm ? "yes" : "no")} | {one.Cost.Parameters:N0} | {one.Cost.ActiveParameters:N0} "
                    + $"| {one.TokensPerSecond:N0} | {one.PeakBytes / 1e9:F1} GB | "
                    + $"{one.TrainingLoss:F3} | {one.ValidationLoss:F3} | {one.Usage.Usage:P1} | {one.Usage.Unevenness:F2} | "
                    + $"{PaperOf(one)?.Unevenness.ToString("F2", CultureInfo.InvariantCulture) ?? "–"} |");
        }
        if (trained[^1].Saved is { } saved && loaded is not null)
        {
            text.AppendLine()
                .AppendLine(
                    CultureInfo.InvariantCulture,
                    $"Saving the last model took {saved.Seconds:F0} s and gave a zip of {saved.FileBytes / 1e9:F2} GB; until then "
                        + $"training and saving had {saved.PeakBytes / 1e9:F1} GB in use at most. "
                        + $"Another process loaded it in {loaded.Seconds:F0} s with at most {loaded.PeakBytes / 1e9:F1} GB; its "
                        + $"validation loss is {loaded.ValidationLoss:F3}, before saving {saved.ValidationLoss:F3}.");
        }
        return text.ToString();
    }

    /// <summary>A row for each training, its loss by step included, with the paper's figures.</summary>
    internal static IEnumerable<IEnumerable<(string Column, object? Value)>> ToRows(IEnumerable<TrainedExperts> trained) =>
        trained.Select(one =>
            new (string, object?)[]
            {
                ("experts", one.Experts),
                ("query batch norm", one.QueryBatchNorm),
                ("parameters", one.Cost.Parameters),
                ("active parameters", one.Cost.ActiveParameters),
                ("forward MACs", one.Cost.ForwardMacs),
                ("tokens/s", one.TokensPerSecond),
                ("seconds", one.Seconds),
                ("peak bytes", one.PeakBytes),
                ("training loss", one.TrainingLoss),
                ("validation loss", one.ValidationLoss),
                ("validation tokens", one.ValidationTokens),
                ("usage", one.Usage.Usage),
                ("unevenness", one.Usage.Unevenness),
                ("unweighted unevenness", one.Usage.UnweightedUnevenness),
                ("paper's perplexity", PaperOf(one)?.Perplexity),
                ("paper's unevenness", PaperOf(one)?.Unevenness),
            }.Concat(one.Curve.Select(point => ($"loss {point.Step}", (object?)point.Loss))));

    private static (double Perplexity, double Unevenness)? PaperOf(TrainedExperts trained) =>
        Paper.TryGetValue((trained.Experts, trained.QueryBatchNorm), out var values) ? values : null;
}

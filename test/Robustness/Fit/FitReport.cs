namespace Robustness.Fit;

/// <summary>What became of the trainings of one kind.</summary>
/// <param name="Name">Which.</param>
/// <param name="Fits">How many there were, failed ones among them.</param>
/// <param name="Digests">The weights that came out, by digest, with how often; one where all agree.</param>
/// <param name="Failures">The messages of those that failed, with how often.</param>
internal sealed record FitReport(string Name, int Fits, IReadOnlyDictionary<string, int> Digests, IReadOnlyDictionary<string, int> Failures)
{
    /// <summary>Trainings that failed.</summary>
    public int Failed => Failures.Values.Sum();

    /// <summary>Trainings that ended with other weights than most.</summary>
    public int Different => Digests.Count == 0 ? 0 : Digests.Values.Sum() - Digests.Values.Max();

    /// <summary>All reports of a kind as one, for every kind.</summary>
    public static IReadOnlyList<FitReport> ByName(IEnumerable<FitReport> reports) =>
        [
            .. reports
                .GroupBy(report => report.Name)
                .Select(group => new FitReport(
                    group.Key,
                    group.Sum(report => report.Fits),
                    Sum(group.Select(report => report.Digests)),
                    Sum(group.Select(report => report.Failures)))),
        ];

    private static Dictionary<string, int> Sum(IEnumerable<IReadOnlyDictionary<string, int>> counts) =>
        counts
            .SelectMany(pairs => pairs)
            .GroupBy(pair => pair.Key)
            .ToDictionary(group => group.Key, group => group.Sum(pair => pair.Value));
}

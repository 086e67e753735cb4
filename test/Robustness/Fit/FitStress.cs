namespace Robustness.Fit;

/// <summary>Trains the tiny models in turn while other threads allocate.</summary>
internal static class FitStress
{
    /// <summary>Trains one model of each kind.</summary>
    /// <returns>A report for each.</returns>
    public static IReadOnlyList<FitReport> Round() => [.. TinyFit.All.Select(Try)];

    private static FitReport Try(TinyFit fit)
    {
        var (digests, failures) = (new Dictionary<string, int>(), new Dictionary<string, int>());
        try
        {
            digests.Add(fit.Run(), 1);
        }
        catch (Exception failure)   // whatever it is: it is what is counted
        {
            failures.Add($"{failure.GetType().Name}: {failure.Message.Split('\n')[0]}", 1);
        }
        return new FitReport(fit.Name, 1, digests, failures);
    }
}

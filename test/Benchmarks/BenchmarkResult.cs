namespace Benchmarks;

/// <summary>One row of the results, whose JSON names are the same in camel case.</summary>
/// <param name="Name">The benchmark's name.</param>
/// <param name="Ratio">The baseline's time over ours: above 1 where the fast path is faster.</param>
/// <param name="Wanted">The ratio that the project asks of itself; null where the ratio is information.</param>
/// <param name="OursMs">Median time of one unit of work on the fast path, in milliseconds.</param>
/// <param name="BaselineMs">Median time of one unit of work on the baseline, in milliseconds.</param>
/// <param name="GigaFlops">
/// 10⁹ useful operations a second on the fast path, a multiply-add counted as two; null where nothing is multiplied.
/// </param>
/// <param name="GigaBytes">10⁹ bytes that must be moved a second on the fast path; null where all of it stays in the caches.</param>
/// <param name="Bound">What the machine is bound by; null where the benchmark states no work.</param>
/// <param name="Share">The share of that bound that the fast path reaches.</param>
/// <param name="Baseline">What the fast path is compared with.</param>
/// <param name="Precision">The number type of the work.</param>
/// <param name="Threads">Threads that one libtorch operation may use.</param>
internal sealed record BenchmarkResult(
    string Name,
    double Ratio,
    double? Wanted,
    double OursMs,
    double BaselineMs,
    double? GigaFlops,
    double? GigaBytes,
    string? Bound,
    double? Share,
    string Baseline,
    string Precision,
    int Threads)
{
    /// <summary>The result as a row of a table.</summary>
    public IEnumerable<(string Column, object? Value)> ToRow() =>
        [
            ("name", Name),
            ("ratio", Ratio),
            ("wanted", Wanted),
            ("ours ms", OursMs),
            ("baseline ms", BaselineMs),
            ("gigaflops", GigaFlops),
            ("gigabytes a second", GigaBytes),
            ("bound", Bound),
            ("share", Share),
            ("baseline", Baseline),
            ("precision", Precision),
            ("threads", Threads),
        ];
}

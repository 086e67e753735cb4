namespace Benchmarks;

/// <summary>One row of the results, whose JSON names are the same in camel case.</summary>
/// <param name="Name">The benchmark's name.</param>
/// <param name="Ratio">The baseline's time over ours: above 1 where the fast path is faster.</param>
/// <param name="OursMs">Median time of one unit of work on the fast path, in milliseconds.</param>
/// <param name="BaselineMs">Median time of one unit of work on the baseline, in milliseconds.</param>
/// <param name="Baseline">What the fast path is compared with.</param>
/// <param name="Precision">The number type of the work.</param>
/// <param name="Threads">Threads that one libtorch operation may use.</param>
internal sealed record BenchmarkResult(
    string Name,
    double Ratio,
    double OursMs,
    double BaselineMs,
    string Baseline,
    string Precision,
    int Threads)
{
    /// <summary>The result as a row of a table.</summary>
    public IEnumerable<(string Column, object? Value)> ToRow() =>
        [
            ("name", Name),
            ("ratio", Ratio),
            ("ours ms", OursMs),
            ("baseline ms", BaselineMs),
            ("baseline", Baseline),
            ("precision", Precision),
            ("threads", Threads),
        ];
}

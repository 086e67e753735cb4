using System.Text.Json.Serialization;

namespace Benchmarks;

/// <summary>One row of the results, named as in the JSON file.</summary>
/// <param name="Name">The benchmark's name.</param>
/// <param name="Ratio">The baseline's time over ours: above 1 where the fast path is faster.</param>
/// <param name="OursMs">Median time of one unit of work on the fast path, in milliseconds.</param>
/// <param name="BaselineMs">Median time of one unit of work on the baseline, in milliseconds.</param>
/// <param name="Baseline">What the fast path is compared with.</param>
/// <param name="Precision">The number type of the work.</param>
/// <param name="Threads">Threads that one libtorch operation may use.</param>
internal sealed record BenchmarkResult(
    [property: JsonPropertyName("name")] string Name,
    [property: JsonPropertyName("ratio")] double Ratio,
    [property: JsonPropertyName("oursMs")] double OursMs,
    [property: JsonPropertyName("baselineMs")] double BaselineMs,
    [property: JsonPropertyName("baseline")] string Baseline,
    [property: JsonPropertyName("precision")] string Precision,
    [property: JsonPropertyName("threads")] int Threads);

namespace Benchmarks;

/// <summary>What the harness knows of a benchmark before it sets it up.</summary>
/// <param name="Name">Group and name, as in <c>optimizer/adamw-vs-copy</c>.</param>
/// <param name="Baseline">What the fast path is compared with.</param>
/// <param name="Precision">The number type of the work.</param>
/// <param name="Wanted">
/// The ratio that the project asks of itself, null where the ratio is information; shown, and never a reason to fail: timings on a shared
/// machine are noisy.
/// </param>
/// <param name="Create">Sets the benchmark up.</param>
/// <param name="CreateSmall">
/// Sets up the same at a small size, where the full one takes gigabytes or minutes: for checks that time nothing. Null to check at full
/// size.
/// </param>
internal sealed record BenchmarkDefinition(
    string Name, string Baseline, string Precision, double? Wanted, Func<IBenchmark> Create, Func<IBenchmark>? CreateSmall = null);

using Benchmarks.Optimizer;
using Benchmarks.Scoring;
using Benchmarks.Training;

namespace Benchmarks;

/// <summary>Every benchmark there is.</summary>
internal static class BenchmarkCatalog
{
    public static IReadOnlyList<BenchmarkDefinition> All { get; } =
    [
        new("optimizer/adamw-vs-torchsharp", "torch.optim.AdamW", "float32", Target: 20, () => new AdamWBenchmark()),
        new("scoring/transform-vs-raw-forward", "the model called on tensors", "float32", Target: 0.8, () => new TransformBenchmark()),
        new("training/fit-vs-raw-loop", "the same steps by hand on tensors", "float32", Target: 0.9, () => new FitBenchmark()),
    ];

    /// <summary>The benchmarks whose names contain <paramref name="filter"/>; all when it is null.</summary>
    public static IReadOnlyList<BenchmarkDefinition> Select(string? filter) =>
        [.. All.Where(b => filter is null || b.Name.Contains(filter, StringComparison.OrdinalIgnoreCase))];
}

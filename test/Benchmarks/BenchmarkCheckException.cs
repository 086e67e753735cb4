namespace Benchmarks;

/// <summary>A fast path does not compute what its baseline computes.</summary>
internal sealed class BenchmarkCheckException(string message) : Exception(message);

namespace Benchmarks;

/// <summary>
/// A fast path and its baseline, set up to do the same work on the same random inputs. Making one is the set-up, disposing it the
/// tear-down; neither is timed.
/// </summary>
internal interface IBenchmark : IDisposable
{
    /// <summary>What a unit of work of the fast path takes at least; null where there is no sense in saying so.</summary>
    BenchmarkWork? Work { get; }

    /// <summary>Units of work of one call of <see cref="Ours"/>, and of <see cref="Baseline"/>: times are given for one.</summary>
    int Units => 1;

    /// <summary>Does the work on the fast path. Whatever it starts on a device must be done when it returns.</summary>
    void Ours();

    /// <summary>Does the same work on the baseline.</summary>
    void Baseline();

    /// <summary>Compares what both compute; runs before anything is timed, in the same process and on the same set-up.</summary>
    /// <exception cref="BenchmarkCheckException">They differ by more than rounding.</exception>
    void Check();
}

using Benchmarks.Roofline;
using Microsoft.ML.MoE.Runtime;
using static TorchSharp.torch;

namespace Benchmarks;

/// <summary>Times a fast path and its baseline in turn, so that whatever else the machine does meets both.</summary>
internal static class BenchmarkRunner
{
    /// <summary>Samples taken of each side; the median of fewer than five says little.</summary>
    public const int DefaultSamples = 7;

    // A sample repeats its work for at least this long: far above the clock's resolution and a scheduler's time slice.
    private static readonly TimeSpan SampleTime = TimeSpan.FromMilliseconds(60);

    /// <exception cref="BenchmarkCheckException">The fast path does not compute what the baseline computes.</exception>
    public static void Check(BenchmarkDefinition definition)
    {
        using var benchmark = (definition.CreateSmall ?? definition.Create)();
        benchmark.Check();
    }

    /// <exception cref="BenchmarkCheckException">The fast path does not compute what the baseline computes.</exception>
    /// <param name="definition">What to run.</param>
    /// <param name="limits">What the machine can do.</param>
    /// <param name="clock">What time is counted by; of the processor's, the least of the samples is taken, not the median.</param>
    /// <param name="samples">Samples of each side.</param>
    public static BenchmarkResult Run(
        BenchmarkDefinition definition, MachineLimits limits, WorkClock clock = default, int samples = DefaultSamples)
    {
        // What the benchmark before has freed, up to 17 GB, is not held beside what this one needs.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        TorchRuntime.ReleaseFreedMemory();

        using var benchmark = definition.Create();
        benchmark.Check();

        // Warm-up: code is compiled, memory mapped and caches filled; it also tells how often a sample must repeat its work.
        var oursRepeats = WarmUp(benchmark.Ours, clock);
        var baselineRepeats = WarmUp(benchmark.Baseline, clock);

        var ours = new double[samples];
        var baseline = new double[samples];
        for (var i = 0; i < samples; i++)
        {
            if (i % 2 == 0)
                ours[i] = Time(benchmark.Ours, oursRepeats, clock);
            baseline[i] = Time(benchmark.Baseline, baselineRepeats, clock);
            if (i % 2 != 0)
                ours[i] = Time(benchmark.Ours, oursRepeats, clock);
        }

        var (oursMs, baselineMs) = (Typical(ours) / benchmark.Units, Typical(baseline) / benchmark.Units);
        var bound = benchmark.Work?.BoundOn(limits, definition.Precision);
        return new(
            definition.Name,
            Math.Round(baselineMs / oursMs, 3),
            definition.Wanted,
            Math.Round(oursMs, 4),
            Math.Round(baselineMs, 4),
            Rate(2 * benchmark.Work?.MultiplyAdds),
            Rate(benchmark.Work?.Bytes),
            bound?.By,
            bound is { } least ? Math.Round(least.Milliseconds / oursMs, 3) : null,
            definition.Baseline,
            definition.Precision,
            get_num_threads());

        double Typical(double[] times) => clock.ProcessorTime ? times.Min() : Median(times);

        double? Rate(double? amount) => amount is > 0 ? Math.Round(amount.Value / oursMs / 1e6, 1) : null;
    }

    /// <summary>The middle value, or the mean of the two middle ones.</summary>
    public static double Median(double[] values)
    {
        var sorted = values.Order().ToArray();
        var middle = sorted.Length / 2;
        return sorted.Length % 2 != 0 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    private static int WarmUp(Action work, WorkClock clock)
    {
        work();
        var once = Time(work, repeats: 1, clock);
        return Math.Max(1, (int)Math.Ceiling(SampleTime.TotalMilliseconds / Math.Max(once, 1e-3)));
    }

    private static double Time(Action work, int repeats, WorkClock clock)
    {
        // Collections of one side's garbage must not fall into the other side's time.
        GC.Collect();
        GC.WaitForPendingFinalizers();

        var start = clock.Now;
        for (var i = 0; i < repeats; i++)
            work();
        return (clock.Now - start).TotalMilliseconds / repeats;
    }
}

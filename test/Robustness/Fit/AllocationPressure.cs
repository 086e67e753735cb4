namespace Robustness.Fit;

/// <summary>
/// Threads that allocate all the time, so that the collector runs as often as it can and finalizers meet whatever else is going on.
/// </summary>
internal sealed class AllocationPressure : IDisposable
{
    private const int BetweenPauses = 512;

    private readonly CancellationTokenSource stop = new();
    private readonly Thread[] threads;

    /// <summary>Starts them.</summary>
    /// <param name="count">How many.</param>
    /// <param name="collect">Whether they ask for collections too: where the youngest generation has its usual size, it takes long to fill
    /// it.</param>
    public AllocationPressure(int count, bool collect)
    {
        threads = [.. Enumerable.Range(0, count).Select(_ => new Thread(() => Allocate(collect)) { IsBackground = true })];
        foreach (var thread in threads)
            thread.Start();
    }

    public void Dispose()
    {
        stop.Cancel();
        foreach (var thread in threads)
            thread.Join();
        stop.Dispose();
    }

    private void Allocate(bool collect)
    {
        var kept = new byte[64][];   // some live long enough to be moved
        for (var i = 0L; !stop.IsCancellationRequested; i++)
        {
            kept[i % kept.Length] = new byte[(i * 7919 % 4096) + 16];
            if (i % BetweenPauses != 0)
                continue;
            if (collect)
                GC.Collect(0);
            Thread.Sleep(collect ? 1 : 0);   // a collector that is always asked leaves nobody else any time
        }
    }
}

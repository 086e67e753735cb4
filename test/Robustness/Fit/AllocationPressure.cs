namespace Robustness.Fit;

/// <summary>Threads that allocate all the time, so that the collector runs as often as it can and finalizers meet whatever else is going on.</summary>
internal sealed class AllocationPressure : IDisposable
{
    private const int BetweenCollections = 512;

    private readonly CancellationTokenSource stop = new();
    private readonly Thread[] threads;

    public AllocationPressure(int count)
    {
        threads = [.. Enumerable.Range(0, count).Select(_ => new Thread(Allocate) { IsBackground = true })];
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

    private void Allocate()
    {
        var kept = new byte[64][];   // some live long enough to be moved
        for (var i = 0L; !stop.IsCancellationRequested; i++)
        {
            kept[i % kept.Length] = new byte[(i * 7919 % 4096) + 16];
            if (i % BetweenCollections == 0)
                GC.Collect(0);   // where the youngest generation is large, it would take long to fill it
        }
    }
}

using System.Diagnostics;

namespace Benchmarks.Roofline;

/// <summary>Threads of their own that begin together, so that a rate is that of all of them and of nothing else.</summary>
internal static class WorkerThreads
{
    /// <summary>Runs work on some threads and returns the seconds from their common beginning to the end of the last.</summary>
    /// <param name="threads">How many.</param>
    /// <param name="work">What each does; gets its number.</param>
    public static double Time(int threads, Action<int> work)
    {
        using var start = new Barrier(threads);
        var (began, ended) = (new long[threads], new long[threads]);
        var workers = new Thread[threads];
        for (var i = 0; i < threads; i++)
        {
            var number = i;
            workers[i] = new Thread(() =>
            {
                start.SignalAndWait();
                began[number] = Stopwatch.GetTimestamp();
                work(number);
                ended[number] = Stopwatch.GetTimestamp();
            });
            workers[i].Start();
        }

        foreach (var worker in workers)
            worker.Join();
        return (ended.Max() - began.Min()) / (double)Stopwatch.Frequency;
    }
}

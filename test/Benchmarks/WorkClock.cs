using System.Diagnostics;

namespace Benchmarks;

/// <summary>
/// What time is counted by. The processor's, of all threads of the process together, hardly changes where other programs run too, and is
/// for one thread: several also count what they wait actively.
/// </summary>
/// <param name="ProcessorTime">Whether it is the processor's time, and not the clock's.</param>
internal readonly record struct WorkClock(bool ProcessorTime)
{
    /// <summary>The time since some moment.</summary>
    public TimeSpan Now => ProcessorTime ? Environment.CpuUsage.TotalTime : Stopwatch.GetElapsedTime(0);

    /// <summary>The seconds that something takes.</summary>
    public double Seconds(Action work)
    {
        var start = Now;
        work();
        return (Now - start).TotalSeconds;
    }
}

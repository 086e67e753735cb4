using System.Diagnostics;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Device;

/// <summary>Times work that a device may do later than it is called.</summary>
internal sealed class DeviceTimer(torch.Device device)
{
    private const int WarmUps = 3;
    private const int Repetitions = 20;
    private static readonly TimeSpan Longest = TimeSpan.FromSeconds(10);

    /// <summary>The median time in milliseconds of 20 runs after three others, or of as many as end within ten seconds.</summary>
    public double MedianOf(Action work)
    {
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < WarmUps && (i == 0 || Stopwatch.GetElapsedTime(start) < Longest); i++)
            work();
        Wait();
        start = Stopwatch.GetTimestamp();
        var times = new List<double>();
        while (times.Count < Repetitions && (times.Count == 0 || Stopwatch.GetElapsedTime(start) < Longest))
        {
            var before = Stopwatch.GetTimestamp();
            work();
            Wait();
            times.Add(Stopwatch.GetElapsedTime(before).TotalMilliseconds);
        }

        return BenchmarkRunner.Median([.. times]);
    }

    private void Wait()
    {
        if (device.type == DeviceType.CUDA)
            cuda.synchronize(device);
    }
}

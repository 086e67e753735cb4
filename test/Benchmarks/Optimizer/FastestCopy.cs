using Benchmarks.Roofline;
using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Optimizer;

/// <summary>
/// A copy from one tensor to another in the way that is fastest here: libtorch's, the C library's on each thread, or past the caches.
/// </summary>
internal sealed unsafe class FastestCopy : IDisposable
{
    private const int Rounds = 12;
    private const int LineFloats = 64;   // of a step of the loop past the caches

    private readonly Tensor from;
    private readonly Tensor to;
    private readonly Action fastest;

    /// <param name="bytes">How many bytes are moved: half of them are read, half written.</param>
    public FastestCopy(long bytes)
    {
        var threads = get_num_threads();
        var share = bytes / 2 / sizeof(float) / threads / LineFloats * LineFloats;
        (from, to) = (ones([threads * share]), zeros([threads * share]));
        var (source, target) = ((nint)Memory.Floats(from), (nint)Memory.Floats(to));
        Action[] ways =
        [
            () => to.copy_(from),
            () => Parallel.For(0, threads, thread =>
                Buffer.MemoryCopy(Share(source, thread), Share(target, thread), share * sizeof(float), share * sizeof(float))),
            () => Parallel.For(0, threads, thread => MemoryLoops.CopyPastCaches(Share(source, thread), Share(target, thread), share)),
        ];
        var times = Enumerable.Range(0, Rounds).Select(_ => Array.ConvertAll(ways, Time)).ToArray();
        fastest = ways[Enumerable.Range(0, ways.Length).MinBy(way => times.Min(round => round[way]))];

        float* Share(nint place, int thread) => (float*)place + (thread * share);
    }

    /// <summary>Copies.</summary>
    public void Run() => fastest();

    public void Dispose()
    {
        from.Dispose();
        to.Dispose();
    }

    // The processor's time, of which other programs take nothing: to choose by the clock may be to choose at random.
    private static double Time(Action way) => new WorkClock(ProcessorTime: true).Seconds(way);
}

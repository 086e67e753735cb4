using System.Runtime.Intrinsics;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Roofline;

/// <summary>Measures what this machine can do, by the best of several attempts: another program on it can only lower a rate.</summary>
internal sealed unsafe class RooflineMeasurement
{
    private const long BufferBytes = 512L << 20;
    private const double Giga = 1e9;

    private readonly int threads = get_num_threads();
    private readonly int attempts;
    private readonly WorkClock clock;
    private float sink;   // what the loops compute goes here, so that the compiler leaves it in

    private RooflineMeasurement(int attempts, WorkClock clock) => (this.attempts, this.clock) = (attempts, clock);

    /// <summary>Everything, in some ten seconds.</summary>
    public static MachineLimits Run()
    {
        var measurement = new RooflineMeasurement(attempts: 8, default);
        return measurement.Measure([512, 1024, 2048]) with { Calls = measurement.MeasureCalls() };
    }

    /// <summary>The rates alone, by fewer attempts, for the share that a benchmark reaches.</summary>
    public static MachineLimits RunShort(WorkClock clock) => new RooflineMeasurement(attempts: 3, clock).Measure([512, 1024, 2048]);

    private MachineLimits Measure(int[] rowBytes)
    {
        var halves = Precision.Auto.Resolve(CPU) == ScalarType.BFloat16;
        var flops = new
        {
            Narrow = Vector256.IsHardwareAccelerated ? null : Flops(MultiplyAddLoop.Run128, MultiplyAddLoop.FlopsPerTurn128),
            Middle = Vector256.IsHardwareAccelerated ? Flops(MultiplyAddLoop.Run256, MultiplyAddLoop.FlopsPerTurn256) : null,
            Wide = Vector512.IsHardwareAccelerated ? Flops(MultiplyAddLoop.Run512, MultiplyAddLoop.FlopsPerTurn512) : null,
        };

        // From libtorch, so that it lies in pages of the size that tensors have.
        using var buffer = ones([BufferBytes / sizeof(float)]);
        var numbers = Memory.Floats(buffer);
        var rows = rowBytes.Select(bytes => RandomRows(numbers, bytes)).ToArray();
        var limits = new MachineLimits
        {
            Threads = threads,
            Vector128Flops = flops.Narrow,
            Vector256Flops = flops.Middle,
            Vector512Flops = flops.Wide,
            TorchFloat32Flops = Product(ScalarType.Float32),
            TorchBFloat16Flops = halves ? Product(ScalarType.BFloat16) : null,
            ReadBytes = Read(numbers),
            CopyBytes = Copy(numbers),
            Rows512Bytes = rows[0],
            Rows1024Bytes = rows[1],
            Rows2048Bytes = rows[2],
        };
        GC.KeepAlive(buffer);
        return limits;
    }

    private double? Flops(Func<long, float> loop, int flopsPerTurn)
    {
        const long Turns = 4_000_000;
        var best = Best(() => TimeThreads(_ => sink += loop(Turns)));
        return Rounded(threads * Turns * flopsPerTurn / best);
    }

    private double Product(ScalarType type)
    {
        var best = 0.0;
        foreach (var side in new[] { 2048L, 3072L })
        {
            using var scope = NewDisposeScope();
            using var noGrad = no_grad();
            var (a, b) = (randn([side, side]).to_type(type), randn([side, side]).to_type(type));
            var seconds = Best(() => Time(() =>
            {
                using var product = a.mm(b);
            }), Math.Min(attempts, 3));   // of half a second each where libtorch is slow
            best = Math.Max(best, 2.0 * side * side * side / seconds);
        }

        return Rounded(best);
    }

    private double Read(float* numbers)
    {
        var share = BufferBytes / sizeof(float) / threads / 1024 * 1024;
        var best = Best(() => TimeThreads(thread => sink += MemoryLoops.Read(numbers + (thread * share), share)));
        return Rounded(threads * share * sizeof(float) / best);
    }

    // The C library's way and one that goes past the caches: which is faster, differs between processors.
    private double Copy(float* numbers)
    {
        var half = BufferBytes / 2 / sizeof(float);
        var share = half / threads / 1024 * 1024;
        var bytes = share * sizeof(float);
        var best = Math.Min(
            Best(() => TimeThreads(thread =>
                Buffer.MemoryCopy(numbers + (thread * share), numbers + half + (thread * share), bytes, bytes))),
            Best(() => TimeThreads(thread =>
                MemoryLoops.CopyPastCaches(numbers + (thread * share), numbers + half + (thread * share), share))));
        return Rounded(2 * threads * bytes / best);
    }

    private double RandomRows(float* numbers, int rowBytes)
    {
        var rows = new int[BufferBytes / rowBytes];
        for (var i = 0; i < rows.Length; i++)
            rows[i] = i;
        new Random(1).Shuffle(rows);
        var share = rows.Length / threads;
        var best = new[] { 0, 2048, 4096, 8192 }.Min(bytesAhead =>
            Best(() => TimeThreads(thread =>
                sink += MemoryLoops.ReadRows(
                    numbers, rows.AsSpan(thread * share, share), rowBytes / sizeof(float), bytesAhead / rowBytes))));
        return Rounded((double)threads * share * rowBytes / best);
    }

    private CallCosts MeasureCalls()
    {
        using var noGrad = no_grad();
        using var number = zeros([1]);
        WorkTeam.Body nothing = (_, _) => { };
        return new CallCosts(
            Microseconds(() => sink += number.dim(), 20_000),
            Microseconds(
                () =>
                {
                    using var negated = number.neg();
                },
                20_000),
            Microseconds(() => Parallel.For(0, threads, _ => { }), 2_000),
            Microseconds(() => WorkTeam.Run(threads, team => team.ForEach(threads, nothing)), 2_000),
            Best(() =>
            {
                var seconds = 0.0;
                WorkTeam.Run(threads, team => seconds = Time(() => team.ForEach(threads, nothing), 2_000));
                return seconds / 2_000;
            }) * 1e6);
    }

    private double Microseconds(Action call, int repeats) => Best(() => Time(call, repeats) / repeats) * 1e6;

    // On threads that begin together, so that it is the time of all of them and of nothing else.
    private double TimeThreads(Action<int> work) =>
        clock.ProcessorTime ? clock.Seconds(() => WorkerThreads.Time(threads, work)) / threads : WorkerThreads.Time(threads, work);

    private double Time(Action call, int repeats = 1) =>
        clock.Seconds(() =>
        {
            for (var i = 0; i < repeats; i++)
                call();
        });

    private double Best(Func<double> attempt) => Best(attempt, attempts);

    private static double Best(Func<double> attempt, int attempts)
    {
        _ = attempt();   // compiles, wakes threads
        return Enumerable.Range(0, attempts).Min(_ => attempt());
    }

    private static double Rounded(double rate) => Math.Round(rate / Giga, 1);
}

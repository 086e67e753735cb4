using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// Gives the random numbers that this thread draws through <see cref="Draws"/> a generator of their own until it is disposed, so that
/// trainings at the same time do not take each other's numbers. It gives what the process's generator gives after the same seed, and leaves
/// that one alone.
/// </summary>
/// <remarks>
/// TorchSharp makes no generators for CUDA: on such a device the process's generators are seeded as by <see cref="SeedScope"/>, and two
/// trainings at the same time disturb each other.
/// </remarks>
internal sealed class GeneratorScope : IDisposable
{
    [ThreadStatic]
    private static GeneratorScope? current;

    private readonly Generator generator;
    private readonly SeedScope? ofDevice;
    private readonly GeneratorScope? outer;

    /// <summary>Makes a generator.</summary>
    /// <param name="seed">Its seed; every value is allowed.</param>
    /// <param name="device">Where random numbers will be drawn besides the CPU.</param>
    /// <exception cref="InvalidOperationException">libtorch cannot be loaded.</exception>
    public GeneratorScope(long seed, Device device)
    {
        TorchRuntime.Initialize();
        ofDevice = device.type == DeviceType.CUDA ? new SeedScope(seed, device) : null;
        generator = new Generator((ulong)seed, CPU);
        outer = current;
        current = this;
    }

    /// <summary>The generator of the CPU that this thread draws from; null for the process's.</summary>
    public static Generator? Current => current?.generator;

    /// <summary>Ends it, on the thread that made it.</summary>
    public void Dispose()
    {
        if (current != this)
            return;
        current = outer;
        generator.Dispose();
        ofDevice?.Dispose();
    }
}

using System.Buffers.Binary;
using System.Security.Cryptography;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>Seeds torch's global random number generators, and gives them back as they were when disposed.</summary>
/// <remarks>
/// The generators belong to the process: two scopes that overlap on different threads take each other's numbers. In whatever order they are
/// disposed, the last one leaves the CPU's generator as the first one found it. The estimators' trainings need no such scope: each has a
/// generator of its own on the CPU. TorchSharp cannot read the state of a CUDA generator. A scope on a CUDA device therefore leaves the
/// CUDA generators seeded from the state in which it found the CPU's: what follows repeats from run to run in a program that has seeded
/// torch, but is not what would have followed without the scope.
/// </remarks>
public sealed class SeedScope : IDisposable
{
    private static readonly Lock Gate = new();
    private static readonly List<SeedScope> Open = [];   // in the order in which they were made

    private readonly bool seedsCuda;
    private byte[] cpuState;   // to be restored; that of a scope made earlier, once that one has been disposed
    private bool disposed;

    /// <summary>Seeds the CPU's generator, and those of all CUDA devices if <paramref name="device"/> is one.</summary>
    /// <param name="seed">The seed; every value is allowed.</param>
    /// <param name="device">Where random numbers will be drawn besides the CPU.</param>
    /// <exception cref="InvalidOperationException">libtorch cannot be loaded.</exception>
    public SeedScope(long seed, Device device)
    {
        ArgumentNullException.ThrowIfNull(device);
        TorchRuntime.Initialize();

        seedsCuda = device.type == DeviceType.CUDA;
        lock (Gate)
        {
            // Bytes rather than the tensor: the caller's dispose scope may end before this one.
            using (var generator = Generator.Default)
            using (var state = generator.get_state())
                cpuState = state.data<byte>().ToArray();

            random.manual_seed(seed).Dispose(); // disposes the handle, not the generator
            if (seedsCuda)
                cuda.manual_seed_all(seed);
            Open.Add(this);
        }
    }

    /// <summary>Restores the generators; where a scope that was made later is still in use, that one will.</summary>
    public void Dispose()
    {
        lock (Gate)
        {
            if (disposed)
                return;
            disposed = true;

            var place = Open.IndexOf(this);
            Open.RemoveAt(place);
            if (place < Open.Count)
            {
                Open[place].cpuState = cpuState;
                return;
            }
            if (seedsCuda)
                cuda.manual_seed_all(BinaryPrimitives.ReadInt64LittleEndian(SHA256.HashData(cpuState)));
            using var generator = Generator.Default;
            using var state = tensor(cpuState, dtype: ScalarType.Byte);
            generator.set_state(state);
        }
    }
}

using System.Buffers.Binary;
using System.Security.Cryptography;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Runtime;

/// <summary>
/// The states of the generator that this thread's training draws from (<see cref="GeneratorScope"/>, else torch's global one) and of others
/// by name, to come back to.
/// </summary>
/// <param name="others">Generators of the CPU.</param>
internal sealed class GeneratorStates(IReadOnlyDictionary<string, Generator> others)
{
    private const string Global = "global";
    private const string Other = "of ";

    /// <summary>The states by name: tensors of bytes, the caller's dispose scope owns them.</summary>
    public Dictionary<string, Tensor> Read()
    {
        using var ofProcess = Generator.Default;
        return All(GeneratorScope.Current ?? ofProcess).ToDictionary(pair => pair.Key, pair => pair.Value.get_state());
    }

    /// <summary>
    /// Sets the states. CUDA's generators cannot be read or set by TorchSharp: they get a seed that follows from the state of the CPU's
    /// generator and from
    /// <paramref name="salt"/>, so that they do not repeat what they began with.
    /// </summary>
    /// <param name="states">From <see cref="Read"/>.</param>
    /// <param name="device">Where random numbers are drawn besides the CPU.</param>
    /// <param name="salt">Another number for each time.</param>
    /// <exception cref="InvalidDataException">A generator has no state.</exception>
    public void Set(IReadOnlyDictionary<string, Tensor> states, Device device, int salt)
    {
        using var ofProcess = Generator.Default;
        foreach (var (name, generator) in All(GeneratorScope.Current ?? ofProcess))
            generator.set_state(
                states.TryGetValue(name, out var state)
                    ? state
                    : throw new InvalidDataException($"The random generator '{name}' is not in the saved state."));
        if (device.type == DeviceType.CUDA)
            cuda.manual_seed_all(
                BinaryPrimitives.ReadInt64LittleEndian(
                    SHA256.HashData([.. states[Global].data<byte>().ToArray(), .. BitConverter.GetBytes(salt)])));
    }

    private IEnumerable<KeyValuePair<string, Generator>> All(Generator global) =>
        others.Select(pair => KeyValuePair.Create(Other + pair.Key, pair.Value)).Prepend(new(Global, global));
}

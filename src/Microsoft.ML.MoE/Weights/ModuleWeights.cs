using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Weights;

/// <summary>A module's weights as a safetensors file: its distinct parameters and persistent buffers, each once.</summary>
public static class ModuleWeights
{
    // Below this a whole file is read before the module is touched, so that a stream that breaks off leaves the module as it was.
    private const long StagingLimit = 1L << 30;

    // What Python's transformers library asks of a file with torch weights.
    private static readonly Dictionary<string, string> Metadata = new() { ["format"] = "pt" };

    /// <summary>
    /// The parameters and persistent buffers by name. A module that is used several times is listed once, under the name that was
    /// registered first (<c>state_dict</c> lists it once per use).
    /// </summary>
    /// <param name="module">The module; keeps owning its tensors.</param>
    /// <returns>The module's own tensors, not copies, in the order of registration, parameters before buffers.</returns>
    public static IReadOnlyDictionary<string, Tensor> Collect(nn.Module module)
    {
        ArgumentNullException.ThrowIfNull(module);

        var tensors = new OrderedDictionary<string, Tensor>();
        foreach (var (name, parameter) in module.named_parameters())
            tensors.Add(name, parameter);
        foreach (var (name, buffer) in module.named_buffers(include_nonpersistent: false))
            tensors.Add(name, buffer);
        return tensors;
    }

    /// <summary>Writes the module's weights as a safetensors file.</summary>
    /// <param name="module">The module, on any device but meta.</param>
    /// <param name="destination">Where to write; need not be seekable, and stays open.</param>
    /// <exception cref="ArgumentException">A tensor cannot be written (see <see cref="SafeTensors.Write"/>); nothing was
    /// written.</exception>
    public static void Save(nn.Module module, Stream destination) => SafeTensors.Write(destination, Collect(module), Metadata);

    /// <summary>
    /// Reads weights into a module that has exactly the same tensors. The module stays untouched when the header is wrong or does not fit,
    /// and for files of up to 1 GiB also when the data cannot be read to their end.
    /// </summary>
    /// <param name="module">The module, on any device but meta.</param>
    /// <param name="source">A stream at the file's first byte; need not be seekable, stays open, and is left after the file's last
    /// byte.</param>
    /// <param name="length">The file's length in bytes.</param>
    /// <exception cref="InvalidDataException">
    /// The file is truncated or altered, lacks a tensor, has one too many, or has one of another shape or element type; the message names
    /// it.
    /// </exception>
    public static void Load(nn.Module module, Stream source, long length)
    {
        ArgumentNullException.ThrowIfNull(source);

        var targets = Collect(module);
        var header = SafeTensorsHeader.Read(source, length);
        CheckSameTensors(targets, header);

        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var stage = header.DataLength <= StagingLimit;
        var staged = new List<(Tensor Target, Tensor Value)>();
        foreach (var entry in header.Entries)
        {
            var target = targets[entry.Name];
            if (!stage && target.device_type == DeviceType.CPU && target.is_contiguous())
            {
                SafeTensors.ReadData(source, entry, target);   // a table of several gigabytes need not be there twice
                continue;
            }

            var value = SafeTensors.ReadData(source, entry);
            if (stage)
            {
                staged.Add((target, value));
                continue;
            }

            target.copy_(value);
            value.Dispose();
        }

        foreach (var (target, value) in staged)
            target.copy_(value);
    }

    private static void CheckSameTensors(IReadOnlyDictionary<string, Tensor> targets, SafeTensorsHeader header)
    {
        foreach (var entry in header.Entries)
        {
            if (!targets.TryGetValue(entry.Name, out var target))
                throw new InvalidDataException($"Tensor '{entry.Name}': the file has it, the module does not.");
            if (target.dtype != entry.Type || !target.shape.AsSpan().SequenceEqual(entry.Shape))
                throw new InvalidDataException(
                    $"Tensor '{entry.Name}': the file has {entry.Description}, the module "
                        + $"{SafeTensorsEntry.Describe(target.dtype, target.shape)}.");
        }

        var present = header.Entries.Select(e => e.Name).ToHashSet();
        if (targets.Keys.FirstOrDefault(name => !present.Contains(name)) is { } missing)
            throw new InvalidDataException($"Tensor '{missing}': the module has it, the file does not.");
    }
}

using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Weights;

/// <summary>
/// The safetensors file format: a JSON header that names, types and places every tensor, then their bytes, little-endian and without gaps.
/// Source: https://github.com/huggingface/safetensors, "Format".
/// </summary>
/// <remarks>
/// Element types: F64, F32, F16, BF16, I64, I32, I16, I8, U8 and BOOL. Tensors of any size stream through in pieces, straight from and into
/// their own memory, so neither direction needs a second copy of the whole. Not tied to one process: other programs read these files.
/// </remarks>
internal static class SafeTensors
{
    private const long PieceBytes = 4 << 20;   // large enough that a call per piece costs nothing, small against any model

    /// <summary>
    /// Writes tensors as one safetensors file: the widest element types first, then by name, so that equal tensors give equal bytes.
    /// </summary>
    /// <param name="destination">Where to write; need not be seekable, and stays open.</param>
    /// <param name="tensors">Dense tensors on any device but meta, contiguous or not; a tensor that is on a GPU or not contiguous is copied
    /// on its own.</param>
    /// <param name="metadata">Free text to keep with the tensors.</param>
    /// <exception cref="ArgumentException">A tensor is disposed, sparse, on the meta device or of a type that the format lacks, or is named
    /// <c>__metadata__</c>; nothing was written.</exception>
    public static void Write(
        Stream destination, IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(destination);
        ArgumentNullException.ThrowIfNull(tensors);

        var header = SafeTensorsHeader.For(tensors, metadata);
        header.Write(destination);
        foreach (var entry in header.Entries)
            WriteData(destination, tensors[entry.Name]);
    }

    /// <summary>Reads a safetensors file. Everything that its header says is checked before the first tensor is made.</summary>
    /// <param name="source">A stream at the file's first byte; need not be seekable, stays open, and is left after the file's last
    /// byte.</param>
    /// <param name="length">The file's length in bytes.</param>
    /// <param name="device">Where the tensors go; the CPU when null.</param>
    /// <returns>The tensors, owned by the caller (outside any dispose scope).</returns>
    /// <exception cref="InvalidDataException">The file is truncated, altered or of an unknown type; the message names the tensor and what
    /// is wrong.</exception>
    public static SafeTensorsContents Read(Stream source, long length, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(source);

        var header = SafeTensorsHeader.Read(source, length);
        var tensors = new Dictionary<string, Tensor>(header.Entries.Count);
        try
        {
            foreach (var entry in header.Entries)
            {
                using var scope = NewDisposeScope();
                var tensor = ReadData(source, entry);
                tensors.Add(entry.Name, (device is null ? tensor : tensor.to(device)).DetachFromDisposeScope());
            }
        }
        catch
        {
            foreach (var tensor in tensors.Values)
                tensor.Dispose();
            throw;
        }

        return new(tensors, header.Metadata);
    }

    /// <summary>Reads the next tensor's bytes into a new CPU tensor.</summary>
    internal static Tensor ReadData(Stream source, SafeTensorsEntry entry)
    {
        var tensor = empty(entry.Shape, dtype: entry.Type, device: CPU);
        try
        {
            ReadData(source, entry, tensor);
            return tensor;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>Reads the next tensor's bytes into a contiguous tensor of the same type and shape on the CPU, piece by piece.</summary>
    internal static void ReadData(Stream source, SafeTensorsEntry entry, Tensor target)
    {
        try
        {
            foreach (var piece in PiecesOf(target))
            {
                var bytes = piece.bytes;
                source.ReadExactly(bytes);
                if (entry.Type == ScalarType.Bool && bytes.IndexOfAnyExceptInRange((byte)0, (byte)1) is >= 0 and var i)
                    throw new InvalidDataException($"Tensor '{entry.Name}': it holds the byte {bytes[i]} where a BOOL is 0 or 1.");
                GC.KeepAlive(piece);
            }
        }
        catch (EndOfStreamException exception)
        {
            throw new InvalidDataException(
                $"Tensor '{entry.Name}': the data end before its {entry.ByteCount} bytes do: the file is truncated.", exception);
        }
    }

    private static void WriteData(Stream destination, Tensor tensor)
    {
        using var scope = NewDisposeScope();
        var values = tensor.detach().cpu().contiguous();
        foreach (var piece in PiecesOf(values))
        {
            destination.Write(piece.bytes);
            GC.KeepAlive(piece);   // the span alone does not keep the tensor's memory
        }
    }

    /// <summary>A contiguous CPU tensor in pieces small enough for a span; each is disposed when the next is asked for.</summary>
    private static IEnumerable<Tensor> PiecesOf(Tensor tensor)
    {
        using var flat = tensor.view(-1);
        var length = flat.numel();
        var pieceLength = PieceBytes / SafeTensorsType.SizeOf(tensor.dtype);
        for (long offset = 0; offset < length; offset += pieceLength)
        {
            using var piece = flat.narrow(0, offset, Math.Min(pieceLength, length - offset));
            yield return piece;
        }
    }
}

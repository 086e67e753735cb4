using System.Buffers;
using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Weights;

/// <summary>
/// The header of a safetensors file: eight bytes with its length (little-endian), then JSON that gives each tensor's type, shape and place.
/// A header that was read is consistent in itself and with the file's length.
/// </summary>
internal sealed class SafeTensorsHeader
{
    private const int LengthBytes = 8;
    private const long MaxJsonLength = 100_000_000;   // the limit of the format's own library
    private const int MaxDimensions = 64;             // the limit of torch's iterators
    private const string MetadataName = "__metadata__";

    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private SafeTensorsHeader(IReadOnlyList<SafeTensorsEntry> entries, IReadOnlyDictionary<string, string> metadata)
    {
        Entries = entries;
        Metadata = metadata;
    }

    /// <summary>The tensors in the order in which their data lie.</summary>
    public IReadOnlyList<SafeTensorsEntry> Entries { get; }

    /// <summary>What the file says of itself.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Bytes of the data section.</summary>
    public long DataLength => Entries.Count == 0 ? 0 : Entries[^1].End;

    /// <summary>Lays <paramref name="tensors"/> out: widest element type first, then by name.</summary>
    /// <exception cref="ArgumentException">A tensor has no counterpart in the format.</exception>
    public static SafeTensorsHeader For(IReadOnlyDictionary<string, Tensor> tensors, IReadOnlyDictionary<string, string>? metadata)
    {
        foreach (var (name, tensor) in tensors)
        {
            if (name == MetadataName)
                throw new ArgumentException(
                    $"A tensor cannot be named '{MetadataName}': the safetensors format keeps that name for its metadata.",
                    nameof(tensors));
            if (tensor is null || tensor.IsInvalid)
                throw new ArgumentException($"Tensor '{name}' is null or disposed.", nameof(tensors));
            if (SafeTensorsType.NameOf(tensor.dtype) is null)
                throw new ArgumentException(
                    $"Tensor '{name}' has element type {tensor.dtype}; it can be {SafeTensorsType.Supported}.", nameof(tensors));
            if (tensor.is_sparse)
                throw new ArgumentException($"Tensor '{name}' is sparse; only dense tensors can be written.", nameof(tensors));
            if (tensor.device_type == TorchSharp.DeviceType.META)
                throw new ArgumentException($"Tensor '{name}' is on the meta device and has no values to write.", nameof(tensors));
        }

        var entries = new List<SafeTensorsEntry>(tensors.Count);
        long offset = 0;
        var laidOut = tensors
            .OrderBy(t => SafeTensorsType.LayoutOrder(t.Value.dtype))
            .ThenBy(t => t.Key, StringComparer.Ordinal);
        foreach (var (name, tensor) in laidOut)
        {
            var end = offset + (tensor.numel() * SafeTensorsType.SizeOf(tensor.dtype));
            entries.Add(new(name, tensor.dtype, tensor.shape, offset, end));
            offset = end;
        }

        return new(entries, metadata ?? new Dictionary<string, string>());
    }

    /// <summary>
    /// Reads and checks the header of a file of <paramref name="length"/> bytes; leaves the stream at the first byte of data.
    /// </summary>
    /// <exception cref="InvalidDataException">The header does not describe a file of that length.</exception>
    public static SafeTensorsHeader Read(Stream source, long length)
    {
        if (source.CanSeek && source.Length - source.Position < length)
            throw new InvalidDataException(
                $"The safetensors data end after {source.Length - source.Position} of {length} bytes: the file is truncated.");
        if (length < LengthBytes)
            throw new InvalidDataException($"A safetensors file has at least {LengthBytes} bytes; this one has {length}.");

        Span<byte> prefix = stackalloc byte[LengthBytes];
        ReadExactly(source, prefix);
        var jsonLength = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (jsonLength > (ulong)Math.Min(MaxJsonLength, length - LengthBytes))
        {
            throw new InvalidDataException(
                $"The safetensors header claims {jsonLength} bytes; the file has {length - LengthBytes} after the length field, and at "
                    + $"most {MaxJsonLength} are accepted.");
        }

        var json = new byte[jsonLength];
        ReadExactly(source, json);
        var header = Parse(json);
        header.CheckLayout(length - LengthBytes - (long)jsonLength);
        return header;
    }

    /// <summary>Writes the length and the JSON, padded so that the data start at a multiple of 8 bytes.</summary>
    public void Write(Stream destination)
    {
        var json = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(json, WriterOptions))
        {
            writer.WriteStartObject();
            if (Metadata.Count > 0)
            {
                writer.WriteStartObject(MetadataName);
                foreach (var (key, value) in Metadata.OrderBy(m => m.Key, StringComparer.Ordinal))
                    writer.WriteString(key, value);
                writer.WriteEndObject();
            }

            foreach (var entry in Entries)
            {
                writer.WriteStartObject(entry.Name);
                writer.WriteString("dtype", SafeTensorsType.NameOf(entry.Type));
                WriteNumbers(writer, "shape", entry.Shape);
                WriteNumbers(writer, "data_offsets", [entry.Begin, entry.End]);
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        var padding = (LengthBytes - (json.WrittenCount % LengthBytes)) % LengthBytes;
        json.GetSpan(padding)[..padding].Fill((byte)' ');
        json.Advance(padding);

        Span<byte> prefix = stackalloc byte[LengthBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(prefix, (ulong)json.WrittenCount);
        destination.Write(prefix);
        destination.Write(json.WrittenSpan);
    }

    private static void WriteNumbers(Utf8JsonWriter writer, string name, ReadOnlySpan<long> values)
    {
        writer.WriteStartArray(name);
        foreach (var value in values)
            writer.WriteNumberValue(value);
        writer.WriteEndArray();
    }

    private static void ReadExactly(Stream source, Span<byte> bytes)
    {
        try
        {
            source.ReadExactly(bytes);
        }
        catch (EndOfStreamException e)
        {
            throw new InvalidDataException("The safetensors data end inside the header: the file is truncated.", e);
        }
    }

    private static SafeTensorsHeader Parse(ReadOnlySpan<byte> json)
    {
        if (json.IsEmpty || json[0] != (byte)'{')
            throw new InvalidDataException("The safetensors header does not begin with '{'.");

        var entries = new Dictionary<string, SafeTensorsEntry>();
        Dictionary<string, string>? metadata = null;
        var reader = new Utf8JsonReader(json);
        try
        {
            reader.Read();
            while (ReadMember(ref reader, out var name))
            {
                if (name == MetadataName)
                {
                    if (metadata is not null)
                        throw new InvalidDataException($"The safetensors header has '{MetadataName}' twice.");
                    metadata = ReadMetadata(ref reader);
                }
                else if (!entries.TryAdd(name, ReadEntry(ref reader, name)))
                {
                    throw new InvalidDataException($"The safetensors header has tensor '{name}' twice.");
                }
            }

            reader.Read();   // throws if anything but white space follows
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)   // the latter: a string that is not valid Unicode
        {
            throw new InvalidDataException($"The safetensors header is not valid JSON: {e.Message}", e);
        }

        var ordered = entries.Values.OrderBy(e => e.Begin).ThenBy(e => e.End).ThenBy(e => e.Name, StringComparer.Ordinal).ToList();
        return new(ordered, metadata ?? []);
    }

    private static bool ReadMember(ref Utf8JsonReader reader, out string name)
    {
        reader.Read();
        name = reader.TokenType == JsonTokenType.PropertyName ? reader.GetString()! : string.Empty;
        return reader.TokenType == JsonTokenType.PropertyName;
    }

    private static Dictionary<string, string> ReadMetadata(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new InvalidDataException($"The safetensors header's '{MetadataName}' is not an object.");

        var metadata = new Dictionary<string, string>();
        while (ReadMember(ref reader, out var key))
        {
            reader.Read();
            if (reader.TokenType != JsonTokenType.String)
                throw new InvalidDataException($"The safetensors header's metadata '{key}' is not a string.");
            if (!metadata.TryAdd(key, reader.GetString()!))
                throw new InvalidDataException($"The safetensors header has metadata '{key}' twice.");
        }

        return metadata;
    }

    private static SafeTensorsEntry ReadEntry(ref Utf8JsonReader reader, string name)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
            throw new InvalidDataException($"Tensor '{name}': its description is not an object.");

        ScalarType? type = null;
        long[]? shape = null;
        long[]? offsets = null;
        while (ReadMember(ref reader, out var field))
        {
            switch (field)
            {
                case "dtype" when type is null:
                    reader.Read();
                    var typeName = reader.TokenType == JsonTokenType.String ? reader.GetString()! : string.Empty;
                    type = SafeTensorsType.Parse(typeName)
                        ?? throw new InvalidDataException(
                            $"Tensor '{name}': its dtype is '{typeName}'; it can be {SafeTensorsType.Supported}.");
                    break;
                case "shape" when shape is null:
                    shape = ReadNumbers(ref reader, name, field, MaxDimensions);
                    break;
                case "data_offsets" when offsets is null:
                    offsets = ReadNumbers(ref reader, name, field, maxCount: 2);
                    break;
                default:
                    throw new InvalidDataException(
                        $"Tensor '{name}': its description has '{field}' twice or should not have it; wanted are dtype, shape and "
                            + "data_offsets.");
            }
        }

        if (type is null || shape is null || offsets is null)
            throw new InvalidDataException(
                $"Tensor '{name}': its description lacks {(type is null ? "dtype" : shape is null ? "shape" : "data_offsets")}.");
        if (offsets.Length != 2 || offsets[1] < offsets[0])
            throw new InvalidDataException($"Tensor '{name}': its data_offsets [{string.Join(", ", offsets)}] are not a begin and an end.");

        var entry = new SafeTensorsEntry(name, type.Value, shape, offsets[0], offsets[1]);
        if (ByteCountOf(entry.Type, shape) is not { } wanted)
            throw new InvalidDataException($"Tensor '{name}': its shape {entry.Description} has more elements than can be counted.");
        if (wanted != entry.ByteCount)
            throw new InvalidDataException(
                $"Tensor '{name}': {entry.Description} takes {wanted} bytes, its data_offsets [{entry.Begin}, {entry.End}] hold "
                    + $"{entry.ByteCount}.");
        return entry;
    }

    private static long[] ReadNumbers(ref Utf8JsonReader reader, string name, string field, int maxCount)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartArray)
            throw new InvalidDataException($"Tensor '{name}': its {field} is not an array.");

        var values = new List<long>();
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt64(out var value) || value < 0)
                throw new InvalidDataException(
                    $"Tensor '{name}': its {field} holds something that is not a whole number from 0 to {long.MaxValue}.");
            if (values.Count == maxCount)
                throw new InvalidDataException($"Tensor '{name}': its {field} has more than {maxCount} numbers.");
            values.Add(value);
        }

        return [.. values];
    }

    // Counts a size of 0 as 1, as torch does for strides: [0, 2^62, 2^62] is empty, but torch cannot make it either.
    private static long? ByteCountOf(ScalarType type, long[] shape)
    {
        Int128 bytes = SafeTensorsType.SizeOf(type);
        foreach (var size in shape)
        {
            bytes *= Math.Max(size, 1);
            if (bytes > long.MaxValue)
                return null;
        }

        return shape.Contains(0) ? 0 : (long)bytes;
    }

    private void CheckLayout(long dataLength)
    {
        long offset = 0;
        foreach (var entry in Entries)
        {
            if (entry.Begin != offset)
                throw new InvalidDataException(
                    $"Tensor '{entry.Name}': its data begin at {entry.Begin}; the tensor before it ends at {offset}.");
            if (entry.End > dataLength)
                throw new InvalidDataException($"Tensor '{entry.Name}': its data end at {entry.End}, the file's at {dataLength}.");
            offset = entry.End;
        }

        if (offset != dataLength)
            throw new InvalidDataException($"The safetensors file holds {dataLength} bytes of data; its tensors account for {offset}.");
    }
}

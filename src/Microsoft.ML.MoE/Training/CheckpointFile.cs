using System.Security.Cryptography;
using System.Text;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// A checkpoint as one file: safetensors, with the state of the training as JSON in its metadata, and a SHA-256 of the whole file, in which
/// the place of the checksum itself counts as zeros. A file that was cut off, or altered in a single bit, is refused.
/// </summary>
internal static class CheckpointFile
{
    private const string StateKey = "training";
    private const string ChecksumKey = "checksum";
    private const int ChecksumLength = 64;   // hexadecimal digits
    private const ulong MostHeaderBytes = 100_000_000;   // the limit of safetensors

    private static readonly byte[] ChecksumPrefix = Encoding.UTF8.GetBytes($"\"{ChecksumKey}\":\"");

    /// <summary>
    /// Writes a file under a temporary name, brings it to the disk and then gives it its name: whoever finds the name finds all of it.
    /// </summary>
    public static void Write(string path, IReadOnlyDictionary<string, Tensor> tensors, string state) =>
        AtomicFile.Write(path, temporary => WriteTo(temporary, tensors, state));

    /// <summary>Reads and checks a file.</summary>
    /// <returns>The tensors, owned by the caller, and the state.</returns>
    /// <exception cref="InvalidDataException">The file is damaged or something else.</exception>
    public static (SafeTensorsContents Contents, string State) Read(string path)
    {
        using var file = File.OpenRead(path);
        Check(file);
        file.Position = 0;
        var contents = SafeTensors.Read(file, file.Length);
        return (contents, StateOf(contents.Metadata));
    }

    /// <summary>Reads the state alone; the file is checked all the same.</summary>
    /// <exception cref="InvalidDataException">The file is damaged or something else.</exception>
    public static string ReadState(string path)
    {
        using var file = File.OpenRead(path);
        Check(file);
        file.Position = 0;
        return StateOf(SafeTensorsHeader.Read(file, file.Length).Metadata);
    }

    private static void WriteTo(string path, IReadOnlyDictionary<string, Tensor> tensors, string state)
    {
        using var file = new FileStream(path, FileMode.Create, FileAccess.ReadWrite, FileShare.None);
        using var hash = SHA256.Create();
        using (var hashing = new CryptoStream(file, hash, CryptoStreamMode.Write, leaveOpen: true))
            SafeTensors.Write(
                hashing, tensors, new Dictionary<string, string> { [StateKey] = state, [ChecksumKey] = new('0', ChecksumLength) });

        file.Position = 0;
        file.Position = FindChecksum(ReadHeader(file));
        file.Write(Encoding.ASCII.GetBytes(Convert.ToHexStringLower(hash.Hash!)));
        file.Flush(flushToDisk: true);
    }

    private static string StateOf(IReadOnlyDictionary<string, string> metadata) =>
        metadata.TryGetValue(StateKey, out var state) ? state : throw new InvalidDataException("it has no state of a training.");

    private static void Check(FileStream file)
    {
        var header = ReadHeader(file);
        var place = FindChecksum(header);
        var stored = Encoding.ASCII.GetString(header, place, ChecksumLength);
        header.AsSpan(place, ChecksumLength).Fill((byte)'0');

        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(header);
        var buffer = new byte[1 << 20];
        for (int read; (read = file.Read(buffer)) > 0;)
            hash.AppendData(buffer, 0, read);
        if (Convert.ToHexStringLower(hash.GetHashAndReset()) != stored)
            throw new InvalidDataException("its checksum is not that of its contents: it is damaged, or was not written to its end.");
    }

    private static byte[] ReadHeader(FileStream file)
    {
        var prefix = new byte[8];
        if (file.ReadAtLeast(prefix, prefix.Length, throwOnEndOfStream: false) < prefix.Length
            || BitConverter.ToUInt64(prefix) is var length && length > (ulong)(file.Length - prefix.Length))
            throw new InvalidDataException($"it has {file.Length} bytes, less than its header says.");
        if (length > MostHeaderBytes)
            throw new InvalidDataException(
                $"its header says that it is {length} bytes long itself; at most {MostHeaderBytes} are possible.");
        var header = new byte[prefix.Length + (int)length];
        prefix.CopyTo(header, 0);
        file.ReadExactly(header.AsSpan(prefix.Length));
        return header;
    }

    // The state is a JSON string within the JSON of the header: quotes in it are escaped, so that the prefix is there once.
    private static int FindChecksum(byte[] header)
    {
        var start = header.AsSpan().IndexOf(ChecksumPrefix);
        if (start < 0 || header.Length - start - ChecksumPrefix.Length < ChecksumLength)
            throw new InvalidDataException("it has no checksum: it is no checkpoint of a training.");
        return start + ChecksumPrefix.Length;
    }
}

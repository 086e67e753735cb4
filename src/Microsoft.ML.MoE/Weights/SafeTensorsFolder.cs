using System.IO.MemoryMappedFiles;
using System.Text.Json;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Weights;

/// <summary>
/// The tensors of a folder: of <c>model.safetensors</c>, or of the files that <c>model.safetensors.index.json</c> names. The headers are
/// read and checked at once; the numbers where they are asked for, out of the mapped file.
/// </summary>
internal sealed class SafeTensorsFolder
{
    /// <summary>The file that has all tensors.</summary>
    public const string Whole = "model.safetensors";

    /// <summary>The file that says which file has which tensor.</summary>
    public const string Index = "model.safetensors.index.json";

    private readonly Dictionary<string, Place> places;

    private SafeTensorsFolder(Dictionary<string, Place> places) => this.places = places;

    /// <summary>The names of all tensors, and what they are.</summary>
    public IReadOnlyDictionary<string, SafeTensorsEntry> Entries => places.ToDictionary(pair => pair.Key, pair => pair.Value.Entry);

    /// <summary>Reads the headers.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InvalidDataException">There is neither file, or one is truncated or altered, or the index and the files do not
    /// agree; the message names the file.</exception>
    public static SafeTensorsFolder Read(string folder)
    {
        var whole = Path.Combine(folder, Whole);
        var index = Path.Combine(folder, Index);
        if (File.Exists(whole))
            return new(ReadFile(whole));
        if (!File.Exists(index))
            throw new InvalidDataException($"'{folder}' has neither {Whole} nor {Index}: it is no folder of a checkpoint in safetensors.");

        var files = ReadIndex(index);
        var places = new Dictionary<string, Place>();
        foreach (var file in files.Values.Distinct().Order(StringComparer.Ordinal))
        {
            var path = Path.Combine(folder, file);
            if (!File.Exists(path))
                throw new InvalidDataException($"'{index}' names the file '{file}', which is not there.");
            foreach (var (name, place) in ReadFile(path))
            {
                if (!files.TryGetValue(name, out var indexed) || indexed != file)
                    throw new InvalidDataException(
                        $"Tensor '{name}' is in '{file}', where '{index}' says {(indexed is null ? "nothing of it" : $"'{indexed}'")}.");
                places.Add(name, place);
            }
        }

        if (files.Keys.FirstOrDefault(name => !places.ContainsKey(name)) is { } missing)
            throw new InvalidDataException($"'{index}' says that tensor '{missing}' is in '{files[missing]}', which does not have it.");
        return new(places);
    }

    /// <summary>Reads a tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>float32 on the CPU; the caller's dispose scope owns it.</returns>
    /// <exception cref="InvalidDataException">The file ends before the tensor does.</exception>
    public Tensor ReadSingles(string name)
    {
        var (path, start, entry) = places[name];
        if (entry.ByteCount == 0)
            return empty(entry.Shape, float32);
        try
        {
            using var file = MemoryMappedFile.CreateFromFile(path, FileMode.Open, mapName: null, capacity: 0, MemoryMappedFileAccess.Read);
            using var view = file.CreateViewStream(start + entry.Begin, entry.ByteCount, MemoryMappedFileAccess.Read);
            using var scope = NewDisposeScope();
            return SafeTensors.ReadData(view, entry).to_type(float32).MoveToOuterDisposeScope();
        }
        catch (Exception e) when (e is UnauthorizedAccessException or ArgumentException or IOException)
        {
            throw new InvalidDataException($"Tensor '{name}' cannot be read from '{path}': {e.Message}", e);
        }
    }

    private static Dictionary<string, Place> ReadFile(string path)
    {
        try
        {
            using var stream = File.OpenRead(path);
            var header = SafeTensorsHeader.Read(stream, stream.Length);
            var start = stream.Position;
            return header.Entries.ToDictionary(entry => entry.Name, entry => new Place(path, start, entry));
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"'{path}': {e.Message}", e);
        }
    }

    private static Dictionary<string, string> ReadIndex(string path)
    {
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(path));
            var files = new Dictionary<string, string>();
            foreach (var property in json.RootElement.GetProperty("weight_map").EnumerateObject())
            {
                var file = property.Value.GetString() ?? throw new InvalidDataException($"'{path}' names no file for '{property.Name}'.");
                if (file != Path.GetFileName(file) || file.Length == 0 || file is "." or "..")
                    throw new InvalidDataException($"'{path}' names the file '{file}'; it must lie in the same folder.");
                if (!files.TryAdd(property.Name, file))
                    throw new InvalidDataException($"'{path}' names tensor '{property.Name}' twice.");
            }
            return files;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            throw new InvalidDataException($"'{path}' is no index of safetensors files: {e.Message}", e);
        }
    }

    // Where a tensor lies: in which file, and at which byte its data begin.
    private sealed record Place(string Path, long Start, SafeTensorsEntry Entry);
}

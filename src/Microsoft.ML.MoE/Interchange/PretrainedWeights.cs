using System.Text.Json;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Interchange;

/// <summary>
/// A network that another library trained and published, as a download from Hugging Face lies in a folder: <c>config.json</c>, and
/// <c>model.safetensors</c> or its parts with their index, in F32, F16 or BF16.
/// </summary>
/// <remarks>
/// Known are Vision Transformers (class token, or average pooling with a norm behind it) and MLP-Mixers in timm's names. The numbers are read
/// from the mapped files where they are needed, straight into the network.
/// </remarks>
public sealed class PretrainedWeights
{
    private const string ConfigFile = "config.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, TypeInfoResolver = JsonContracts.All };

    private readonly SafeTensorsFolder files;
    private readonly TimmCheckpoint checkpoint;
    private readonly IReadOnlyDictionary<string, string> names;

    private PretrainedWeights(string folder, SafeTensorsFolder files, TimmCheckpoint checkpoint)
    {
        (Folder, this.files, this.checkpoint) = (folder, files, checkpoint);
        Config = checkpoint.CreateConfig();
        Config.Validate();
        using var shape = Config.Build(META);
        var ours = ModuleWeights.Collect(shape).ToDictionary(pair => pair.Key, pair => pair.Value.shape);
        names = NameTable.Match(
            checkpoint.Names, ours, files.Entries, name => !HasHead && shape.PartOf(name) == ModelParts.Head);
    }

    /// <summary>Where they were found.</summary>
    public string Folder { get; }

    /// <summary>The network that they are of.</summary>
    public ImageClassifierConfig Config { get; }

    /// <summary>Whether there is a classification head among them.</summary>
    public bool HasHead => checkpoint.HasHead;

    /// <summary>
    /// Mean and standard deviation of the pixels that the network was trained on, by channel, where black is 0 and white 1; null where the
    /// configuration does not say.
    /// </summary>
    internal (float[] Mean, float[] Deviation)? Pixels => checkpoint.Pixels;

    /// <summary>Finds a network in a folder. Of the weights only names, types and shapes are read yet, and checked.</summary>
    /// <param name="path">The folder.</param>
    /// <exception cref="InvalidDataException">
    /// The folder has no checkpoint, or one of an architecture that is not known; a file is truncated or altered; or tensors are missing, left
    /// over or of another shape, which are listed.
    /// </exception>
    public static PretrainedWeights FromFolder(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        if (!Directory.Exists(path))
            throw new InvalidDataException($"There is no folder '{path}'.");
        var config = Path.Combine(path, ConfigFile);
        if (!File.Exists(config))
            throw new InvalidDataException($"'{path}' has no {ConfigFile}: it is no folder of a checkpoint.");
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(config));
            var files = SafeTensorsFolder.Read(path);
            var checkpoint = TimmCheckpoint.Find(json.RootElement.Clone(), files.Entries)
                ?? throw new InvalidDataException(
                    $"'{config}' is of {Describe(json.RootElement)}, which is not known; known are {TimmCheckpoint.Known}.");
            return new(path, files, checkpoint);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException or ArgumentException or OverflowException)
        {
            throw new InvalidDataException($"'{path}' has a checkpoint that cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Makes the network with these weights.</summary>
    /// <param name="device">Where it lies; the CPU by default.</param>
    /// <param name="computeType">Type of the matrix products; float32 by default.</param>
    /// <returns>The network in evaluation, as it was published, with its head; without one, the head is new. The caller disposes it.</returns>
    /// <exception cref="InvalidDataException">A file has become shorter.</exception>
    public ImageClassifier BuildImageClassifier(Device? device = null, ScalarType computeType = ScalarType.Float32)
    {
        var model = Config.Build(device, computeType);
        try
        {
            CopyTo(model, withHead: HasHead);
            model.eval();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Writes a dense network under timm's names, so that Python loads it: <c>timm.create_model</c> with the <c>model_args</c> of
    /// <c>config.json</c>, then <c>load_state_dict</c>.
    /// </summary>
    /// <param name="model">A Vision Transformer or an MLP-Mixer, on any device; stays as it is.</param>
    /// <param name="folder">Where to; made where it is missing. Files of an earlier network there are replaced.</param>
    /// <exception cref="ArgumentException">timm has no such network: it has experts, a stem or another head; nothing was written.</exception>
    public static void Save(ImageClassifier model, string folder)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        var (table, config) = TimmExport.Describe(model.Config);
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var tensors = new Dictionary<string, Tensor>();
        foreach (var (name, tensor) in ModuleWeights.Collect(model))
        {
            var (line, theirs) = NameTable.Translate(table, name);
            var (channels, side) = (model.Config.Channels, model.Config.PatchSize);
            tensors.Add(theirs, line.Flattened ? tensor.detach().view(-1, channels, side, side) : tensor.detach().alias());
        }
        Directory.CreateDirectory(folder);
        AtomicFile.Write(
            Path.Combine(folder, SafeTensorsFolder.Whole),
            path =>
            {
                using var file = File.Create(path);
                SafeTensors.Write(file, tensors, new Dictionary<string, string> { ["format"] = "pt" });
            });
        AtomicFile.Write(Path.Combine(folder, ConfigFile), path => File.WriteAllText(path, config.ToJsonString(Indented)));
    }

    /// <summary>Copies the weights into a network of the same architecture, which may take images of another size.</summary>
    /// <param name="model">The network.</param>
    /// <param name="withHead">Whether its head is overwritten too, which must have as many classes.</param>
    /// <param name="expertNoise">What the experts of a sparse network that grows out of this one differ by at the start.</param>
    internal void CopyTo(ImageClassifier model, bool withHead, double expertNoise = 0) =>
        model.CopyFrom(Config, Read, withHead ? [.. Enumerable.Range(0, Config.ClassCount)] : null, expertNoise);

    private Tensor Read(string name)
    {
        var theirs = files.ReadSingles(names[name]);
        var (line, _) = NameTable.Translate(checkpoint.Names, name);
        return line.Flattened ? theirs.flatten(1) : theirs;
    }

    private static string Describe(JsonElement config)
    {
        foreach (var name in new[] { "architecture", "model_type" })
        {
            if (config.ValueKind == JsonValueKind.Object && config.TryGetProperty(name, out var value))
                return $"{name} '{value}'";
        }
        return "no architecture";
    }
}

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
/// Known are Vision Transformers (class token, or average pooling with a norm behind it) and MLP-Mixers in timm's names, and BERT and
/// ALBERT in Hugging Face's. The numbers are read from the mapped files where they are needed, straight into the network.
/// </remarks>
public sealed class PretrainedWeights
{
    private const string ConfigFile = "config.json";

    private static readonly JsonSerializerOptions Indented = new() { WriteIndented = true, TypeInfoResolver = JsonContracts.All };

    private readonly SafeTensorsFolder files;
    private readonly Func<string, string> nameInFile;
    private readonly IReadOnlyDictionary<string, NamedParts> names;

    private PretrainedWeights(string folder, SafeTensorsFolder files, TimmCheckpoint checkpoint)
    {
        (Folder, this.files, nameInFile, HasHead) = (folder, files, name => name, checkpoint.HasHead);
        ImageClassifier = checkpoint.CreateConfig();
        Pixels = checkpoint.PixelsOf(ImageClassifier.Channels);
        ImageClassifier.Validate();
        using var shape = ImageClassifier.Build(META);
        names = NameTable.Match(
            checkpoint.Names, Shapes(shape), files.Entries, name => !HasHead && shape.PartOf(name) == ModelParts.Head);
    }

    private PretrainedWeights(string folder, SafeTensorsFolder files, HuggingFaceCheckpoint checkpoint)
    {
        (Folder, this.files, nameInFile) = (folder, files, checkpoint.NameInFile);
        TextEncoder = checkpoint.CreateConfig();
        TextEncoder.Validate();
        using var shape = TextEncoder.Build(META);
        names = NameTable.Match(checkpoint.Names, Shapes(shape), checkpoint.Tensors, _ => false);
    }

    /// <summary>Where they were found.</summary>
    public string Folder { get; }

    /// <summary>The image classifier that they are of; null where they are of another network.</summary>
    public ImageClassifierConfig? ImageClassifier { get; }

    /// <summary>The text encoder that they are of; null where they are of another network.</summary>
    public TextEncoderConfig? TextEncoder { get; }

    /// <summary>Whether an image classifier's head is among them.</summary>
    public bool HasHead { get; }

    /// <summary>
    /// Mean and standard deviation of the pixels that the network was trained on, by channel, where black is 0 and white 1; null where the
    /// configuration does not say.
    /// </summary>
    internal (float[] Mean, float[] Deviation)? Pixels { get; }

    /// <summary>Finds a network in a folder. Of the weights only names, types and shapes are read yet, and checked.</summary>
    /// <param name="path">The folder.</param>
    /// <exception cref="InvalidDataException">
    /// The folder has no checkpoint, or one of an architecture that is not known; a file is truncated or altered; or tensors are missing,
    /// left over or of another shape, which are listed.
    /// </exception>
    public static PretrainedWeights FromFolder(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        TorchRuntime.Initialize();   // before anything of torch is touched
        if (!Directory.Exists(path))
            throw new InvalidDataException($"There is no folder '{path}'.");
        var config = Path.Combine(path, ConfigFile);
        if (!File.Exists(config))
            throw new InvalidDataException($"'{path}' has no {ConfigFile}: it is no folder of a checkpoint.");
        try
        {
            using var json = JsonDocument.Parse(File.ReadAllBytes(config));
            var files = SafeTensorsFolder.Read(path);
            if (TimmCheckpoint.Find(json.RootElement.Clone(), files.Entries) is { } images)
                return new(path, files, images);
            if (HuggingFaceCheckpoint.Find(json.RootElement.Clone(), files.Entries) is { } texts)
                return new(path, files, texts);
            throw new InvalidDataException(
                $"'{config}' is of {Describe(json.RootElement)}, which is not known; known are {TimmCheckpoint.Known}, and "
                    + $"{HuggingFaceCheckpoint.Known}.");
        }
        catch (Exception e)
            when (e is JsonException or InvalidOperationException or FormatException or ArgumentException or OverflowException)
        {
            throw new InvalidDataException($"'{path}' has a checkpoint that cannot be read: {e.Message}", e);
        }
    }

    /// <summary>Makes the network with these weights.</summary>
    /// <param name="device">Where it lies; the CPU by default.</param>
    /// <param name="computeType">Type of the matrix products; float32 by default.</param>
    /// <returns>The network in evaluation, as it was published, with its head; without one, the head is new. The caller disposes
    /// it.</returns>
    /// <exception cref="InvalidOperationException">They are of another network.</exception>
    /// <exception cref="InvalidDataException">A file has become shorter.</exception>
    public ImageClassifier BuildImageClassifier(Device? device = null, ScalarType computeType = ScalarType.Float32)
    {
        var config = ImageClassifier ?? throw OfAnotherNetwork("an image classifier");
        return Filled(config.Build(device, computeType), model => CopyTo(model, withHead: HasHead));
    }

    /// <summary>Makes the text encoder with these weights.</summary>
    /// <param name="device">Where it lies; the CPU by default.</param>
    /// <param name="computeType">Type of the matrix products; float32 by default.</param>
    /// <returns>The network in evaluation. The caller disposes it.</returns>
    /// <exception cref="InvalidOperationException">They are of another network.</exception>
    /// <exception cref="InvalidDataException">A file has become shorter.</exception>
    public TextEncoder BuildTextEncoder(Device? device = null, ScalarType computeType = ScalarType.Float32)
    {
        var config = TextEncoder ?? throw OfAnotherNetwork("a text encoder");
        return Filled(config.Build(device, computeType), model => CopyTo(model));
    }

    /// <summary>
    /// Writes a dense network under timm's names, so that Python loads it: <c>timm.create_model</c> with the <c>model_args</c> of
    /// <c>config.json</c>, then <c>load_state_dict</c>.
    /// </summary>
    /// <param name="model">A Vision Transformer or an MLP-Mixer, on any device; stays as it is.</param>
    /// <param name="folder">Where to; made where it is missing. Files of an earlier network there are replaced.</param>
    /// <exception cref="ArgumentException">timm has no such network: it has experts, a stem or another head; nothing was
    /// written.</exception>
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
            var parts = NameTable.Translate(table, name);
            var (channels, side) = (model.Config.Channels, model.Config.PatchSize);
            tensors.Add(parts.Names.Single(), parts.Flattened ? tensor.detach().view(-1, channels, side, side) : tensor.detach().alias());
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
        model.CopyFrom(ImageClassifier!, Read, withHead ? [.. Enumerable.Range(0, ImageClassifier!.ClassCount)] : null, expertNoise);

    /// <summary>Copies the weights into a text encoder of the same architecture, or one that grows out of it.</summary>
    /// <param name="model">The network.</param>
    /// <param name="expertNoise">What the experts of a mixture that grows out of a dense network differ by at the start.</param>
    internal void CopyTo(TextEncoder model, double expertNoise = 0) => model.CopyFrom(TextEncoder!, Read, expertNoise);

    /// <summary>The image classifier that an option wants.</summary>
    /// <exception cref="ArgumentException">They are of another network.</exception>
    internal ImageClassifierConfig RequireImageClassifier(string option) =>
        ImageClassifier ?? throw new ArgumentException($"{option} has the text encoder in '{Folder}'; an image classifier is wanted.");

    /// <summary>The text encoder that an option wants.</summary>
    /// <exception cref="ArgumentException">They are of another network.</exception>
    internal TextEncoderConfig RequireTextEncoder(string option) =>
        TextEncoder ?? throw new ArgumentException($"{option} has the image classifier in '{Folder}'; a text encoder is wanted.");

    private Tensor Read(string name)
    {
        var (theirs, flattened) = names[name];
        if (theirs.Count > 1)
            return cat([.. theirs.Select(part => files.ReadSingles(nameInFile(part)))], 0);
        var only = files.ReadSingles(nameInFile(theirs[0]));
        return flattened ? only.flatten(1) : only;
    }

    private InvalidOperationException OfAnotherNetwork(string wanted) =>
        new($"'{Folder}' has {(TextEncoder is null ? "an image classifier" : "a text encoder")}, not {wanted}.");

    private static TModel Filled<TModel>(TModel model, Action<TModel> fill) where TModel : nn.Module
    {
        try
        {
            fill(model);
            model.eval();
            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private static Dictionary<string, long[]> Shapes(nn.Module module) =>
        ModuleWeights.Collect(module).ToDictionary(pair => pair.Key, pair => pair.Value.shape);

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

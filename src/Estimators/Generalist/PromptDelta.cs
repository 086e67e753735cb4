// Axes: B = blocks, P = prompts, D = model width.

using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What prompt tuning changes of a model, as a safetensors file: prompts, &lt;SPE&gt;, LayerNorms and a linear head, where there is one;
/// the task and a hash of the model that it was made for are in its metadata.
/// </summary>
internal static class PromptDelta
{
    private const string TaskKey = "task";
    private const string BaseKey = "base";
    private static readonly string[] Norms = ["attentionNorm", "feedForwardNorm", "finalNorm", "embeddingNorm"];

    /// <summary>Whether prompt tuning trains a parameter.</summary>
    public static bool IsTuned(string name) =>
        name is Generalist.PromptsName or Generalist.SpecialName || IsOfHead(name) || name.Split('.').Any(Norms.Contains);

    /// <summary>A copy of a model that has prompts besides, and a linear head of a classification; null for none.</summary>
    public static Generalist Extend(Generalist model, int prompts, GeneralistTask? head, Device device)
    {
        var copy = (model.Config with { Prompts = prompts, Head = head }).Build(device);
        using var noGrad = no_grad();
        var targets = NamedTensors.Of(copy);
        foreach (var (name, value) in NamedTensors.Of(model))
            targets[name].copy_(value);
        return copy;
    }

    /// <summary>Writes what is tuned.</summary>
    public static void Write(Stream destination, Generalist tuned, GeneralistTask task) =>
        SafeTensors.Write(
            destination,
            tuned.named_parameters().Where(pair => IsTuned(pair.name)).ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter),
            new Dictionary<string, string>
            {
                [TaskKey] = JsonSerializer.Serialize(task, GeneralistDocument.Json),
                [BaseKey] = HashOfRest(tuned),
            });

    /// <summary>Puts what was tuned into a copy of the model that it was made for.</summary>
    /// <exception cref="InvalidDataException">The file is something else, or was made for another model.</exception>
    public static (Generalist Tuned, GeneralistTask Task) Read(Stream source, long length, Generalist model, Device device)
    {
        using var contents = SafeTensors.Read(source, length);
        if (!contents.Metadata.TryGetValue(TaskKey, out var json)
            || !contents.Tensors.TryGetValue(Generalist.PromptsName, out var prompts_BPD)
            || prompts_BPD.dim() != 3
            || prompts_BPD.shape[1] < 1)
            throw new InvalidDataException("The file holds no prompts.");
        if (contents.Metadata.GetValueOrDefault(BaseKey) != HashOfRest(model))
            throw new InvalidDataException("The prompts were made for another model: its weights are not those of this one.");
        GeneralistTask task;
        try
        {
            task = JsonSerializer.Deserialize<GeneralistTask>(json, GeneralistDocument.Json)
                ?? throw new InvalidDataException("The task of the prompts is empty.");
            task.Validate();
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            throw new InvalidDataException($"The task of the prompts cannot be read: {exception.Message}", exception);
        }
        var hasHead = contents.Tensors.Keys.Any(IsOfHead);
        if (hasHead && task.ClassNames is null)
            throw new InvalidDataException($"The file holds a linear head, but its task '{task.Name}' has no classes.");
        var tuned = Extend(model, (int)prompts_BPD.shape[1], hasHead ? task : null, device);
        try
        {
            NamedTensors.Copy(
                tuned.named_parameters().Where(pair => IsTuned(pair.name)).ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter),
                contents.Tensors);
            return (tuned, task);
        }
        catch
        {
            tuned.Dispose();
            throw;
        }
    }

    private static bool IsOfHead(string name) => name.StartsWith($"{Generalist.HeadName}.", StringComparison.Ordinal);

    // Of what is not tuned: the same before and after.
    private static string HashOfRest(Generalist model)
    {
        using var hash = SHA256.Create();
        using (var stream = new CryptoStream(Stream.Null, hash, CryptoStreamMode.Write))
            SafeTensors.Write(
                stream,
                model.named_parameters().Where(pair => !IsTuned(pair.name))
                    .ToDictionary(pair => pair.name, pair => (Tensor)pair.parameter));
        return Convert.ToHexStringLower(hash.Hash!);
    }
}

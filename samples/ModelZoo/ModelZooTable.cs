using System.Diagnostics;
using System.Text.Json;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace ModelZoo;

/// <summary>The models of the table.</summary>
internal static class ModelZooTable
{
    private const double MemoryOverWeights = 1.5;   // weights and what a forward pass keeps beside them
    private const int TimedPasses = 3;

    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true };

    /// <summary>A row for every model that the library knows by name.</summary>
    /// <param name="timed">
    /// Chooses by name the models that are built and timed, on a random image, a whole context of random tokens, or the longest text,
    /// where they fit into memory; the largest take gigabytes. None by default.
    /// </param>
    public static IEnumerable<ModelZooRow> Measure(Func<string, bool>? timed = null)
    {
        foreach (var (name, config, published, note) in ModelPresets.ImageClassifiers)
        {
            yield return Measure(
                name,
                "image",
                config.GetCost(),
                config.Build,
                model => model.forward(randn(1, config.Channels, config.ImageHeight, config.ImageWidth)),
                timed,
                published,
                note);
        }
        foreach (var (name, config, published, note) in ModelPresets.LanguageModels)
            yield return Measure(
                name,
                "token",
                config.GetCost(),
                config.Build,
                model => model.forward(randint(config.VocabularySize, [1, config.ContextLength], int64)),
                timed,
                published,
                note);
        foreach (var (name, config, published, note) in ModelPresets.TextEncoders)
            yield return Measure(
                name,
                "text",
                config.GetCost(),
                config.Build,
                model => model.forward(
                    randint(config.VocabularySize, [1, config.MaxTokens], int64), ones(1, config.MaxTokens, dtype: @bool), null),
                timed,
                published,
                note);
        foreach (var (name, config, published, note) in ModelPresets.Generalists)
        {
            var role = AttributeTable.Create(StandardRole.ClassifiedPicture, "images", TokenModality.Image);
            yield return Measure(
                name,
                "image",
                config.GetCost(),
                (device, _) => config.Build(device),
                model => model.Encode(model.EmbedImages(randn(1, config.Channels, config.ImageHeight, config.ImageWidth), role)),
                timed,
                published,
                note);
        }
    }

    /// <summary>The rows as a JSON array.</summary>
    public static string ToJson(IEnumerable<ModelZooRow> rows) => JsonSerializer.Serialize(rows, Json);

    // The meta device has shapes but no memory: a model of any size is built and counted in milliseconds.
    private static ModelZooRow Measure<T>(
        string name,
        string example,
        ModelCost cost,
        Func<Device?, ScalarType, T> build,
        Action<T> read,
        Func<string, bool>? timed,
        int? published,
        string note)
        where T : nn.Module
    {
        using var model = build(META, ScalarType.Float32);
        var parameters = model.parameters().DistinctBy(parameter => parameter.Handle).Sum(parameter => parameter.numel());
        var fits = MemoryOverWeights * sizeof(float) * parameters < GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        var milliseconds = fits && timed?.Invoke(name) == true ? Time(build, read) : null;
        return new ModelZooRow(name, example, parameters, cost.ActiveParameters, cost.ForwardMacs, milliseconds, published, note);
    }

    // The quickest of a few passes after one to warm up.
    private static double? Time<T>(Func<Device?, ScalarType, T> build, Action<T> read) where T : nn.Module
    {
        try
        {
            using var model = build(null, ScalarType.Float32);
            model.eval();
            using var noGrad = no_grad();
            var times = new List<double>();
            for (var pass = 0; pass <= TimedPasses; pass++)
            {
                using var scope = NewDisposeScope();
                var clock = Stopwatch.StartNew();
                read(model);
                times.Add(clock.Elapsed.TotalMilliseconds);
            }
            return times.Skip(1).Min();
        }
        catch (InvalidOperationException)
        {
            return null;   // its tables of experts do not fit into the memory that is left
        }
    }
}

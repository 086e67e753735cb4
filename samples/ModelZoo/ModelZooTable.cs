using System.Text.Json;
using Microsoft.ML.MoE.Models;
using TorchSharp;

namespace ModelZoo;

/// <summary>The models of the table.</summary>
internal static class ModelZooTable
{
    private static readonly JsonSerializerOptions Json = new() { WriteIndented = true };

    /// <summary>A row for every model that the library knows by name.</summary>
    public static ModelZooRow[] Measure() => [.. ImageClassifierPresets.All.Select(Measure)];

    /// <summary>The rows as a JSON array.</summary>
    public static string ToJson(ModelZooRow[] rows) => JsonSerializer.Serialize(rows, Json);

    // The meta device has shapes but no memory: a model of any size is built and counted in milliseconds.
    private static ModelZooRow Measure(ImageClassifierPreset preset)
    {
        using var model = preset.Config.Build(torch.META);
        var parameters = model.parameters().DistinctBy(parameter => parameter.Handle).Sum(parameter => parameter.numel());
        var cost = preset.Config.GetCost();
        return new ModelZooRow(preset.Name, parameters, cost.ActiveParameters, cost.ForwardMacs, preset.PublishedMillions, preset.Note);
    }
}

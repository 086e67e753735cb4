using System.Text.Json.Serialization;

namespace ModelZoo;

/// <summary>One model of the table.</summary>
/// <param name="Name">Name of the preset.</param>
/// <param name="Parameters">Trainable numbers, counted on the model's distinct tensors.</param>
/// <param name="ActiveParameters">Those that one token meets.</param>
/// <param name="ForwardMacs">Multiply-adds of one example's forward pass.</param>
/// <param name="Published">Published parameters in millions, rounded down; null where there are none.</param>
/// <param name="Note">Where the published figure is from, or what the model is for.</param>
internal sealed record ModelZooRow(
    [property: JsonPropertyName("name")] string Name,
    [property: JsonPropertyName("parameters")] long Parameters,
    [property: JsonPropertyName("activeParameters")] long ActiveParameters,
    [property: JsonPropertyName("forwardMacs")] long ForwardMacs,
    [property: JsonPropertyName("published")] int? Published,
    [property: JsonPropertyName("note")] string Note);

using System.Text.Json.Serialization;

namespace ModelZoo;

/// <summary>One model of the table.</summary>
/// <param name="Name">Name of the preset.</param>
/// <param name="Example">What the multiply-adds are of: an image, a token or a text.</param>
/// <param name="Parameters">Trainable numbers, counted on the model's distinct tensors.</param>
/// <param name="ActiveParameters">Those that one token meets.</param>
/// <param name="ForwardMacs">Multiply-adds of one example's forward pass.</param>
/// <param name="ForwardMilliseconds">Time of a forward pass, of an image or of a whole context of tokens; null where it was not measured
/// or the model does not fit into memory.</param>
/// <param name="Published">Published parameters in millions, rounded down; null where there are none.</param>
/// <param name="Note">Where the published figure is from, or what the model is for.</param>
internal sealed record ModelZooRow(
    [property: JsonPropertyName("name")] string Name,
    [property: JsonPropertyName("example")] string Example,
    [property: JsonPropertyName("parameters")] long Parameters,
    [property: JsonPropertyName("activeParameters")] long ActiveParameters,
    [property: JsonPropertyName("forwardMacs")] long ForwardMacs,
    [property: JsonPropertyName("forwardMilliseconds")] double? ForwardMilliseconds,
    [property: JsonPropertyName("published")] int? Published,
    [property: JsonPropertyName("note")] string Note);

namespace Microsoft.ML.MoE.Models;

/// <summary>A named configuration of a language model.</summary>
/// <param name="Name">Unique name, lower case with dashes.</param>
/// <param name="Config">The configuration.</param>
/// <param name="Note">What the preset is for.</param>
public sealed record LanguageModelPreset(string Name, LanguageModelConfig Config, string Note);

namespace Microsoft.ML.MoE.Models;

/// <summary>A named configuration.</summary>
/// <param name="Name">Unique name, lower case with dashes.</param>
/// <param name="Config">The configuration.</param>
/// <param name="PublishedMillions">Parameters as published, in millions rounded down; null where nothing was published.</param>
/// <param name="Note">Where the figure is from, or what the preset is for.</param>
public sealed record ImageClassifierPreset(string Name, ImageClassifierConfig Config, int? PublishedMillions, string Note);

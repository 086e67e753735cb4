namespace Microsoft.ML.MoE.Models;

/// <summary>A named configuration of a generalist.</summary>
/// <param name="Name">Unique name, lower case with dashes.</param>
/// <param name="Config">The configuration.</param>
/// <param name="Published">Published parameters in millions, of the deployed model (<see cref="GeneralistConfig.GetDeployedParameters"/>
/// for two roles); null where there are none.</param>
/// <param name="Note">Where the published figure is from, or what the preset is for.</param>
public sealed record GeneralistPreset(string Name, GeneralistConfig Config, int? Published, string Note);

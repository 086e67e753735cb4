namespace Microsoft.ML.MoE.Models;

/// <summary>A named configuration.</summary>
/// <typeparam name="TConfig">What the models of its family are configured by.</typeparam>
/// <param name="Name">Unique name, lower case with dashes.</param>
/// <param name="Config">The configuration.</param>
/// <param name="Published">Parameters as published, in millions rounded down; null where nothing was published. Those of a
/// generalist are of the deployed model (<see cref="GeneralistConfig.GetDeployedParameters"/> for two roles).</param>
/// <param name="Note">Where the published figure is from, or what the preset is for.</param>
public sealed record ModelPreset<TConfig>(string Name, TConfig Config, int? Published, string Note);

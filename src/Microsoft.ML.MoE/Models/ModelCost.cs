namespace Microsoft.ML.MoE.Models;

/// <summary>What a model costs, by its configuration.</summary>
/// <param name="Parameters">Trainable numbers, those of shared modules counted once.</param>
/// <param name="ActiveParameters">Those that one token meets: of E experts only the K chosen ones.</param>
/// <param name="ForwardMacs">Multiply-adds of the matrix products of one example's forward pass.</param>
public sealed record ModelCost(long Parameters, long ActiveParameters, long ForwardMacs);

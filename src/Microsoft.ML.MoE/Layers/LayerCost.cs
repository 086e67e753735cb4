namespace Microsoft.ML.MoE.Layers;

/// <summary>What a layer costs, by its options.</summary>
/// <param name="Parameters">Numbers that are trained.</param>
/// <param name="ActiveParameters">Those that one token meets: of the experts, only the chosen ones.</param>
/// <param name="MacsPerToken">Multiply-adds of one token's forward pass; where experts choose tokens, on average.</param>
/// <param name="TableBytes">Memory of the layer's tables of experts (<see cref="Experts.ExpertTables"/>), a part of the parameters; 0 for
/// layers without.</param>
/// <param name="OptimizerBytes">Memory that the optimizer of those tables needs while it trains, besides the tables.</param>
internal sealed record LayerCost(long Parameters, long ActiveParameters, long MacsPerToken, long TableBytes = 0, long OptimizerBytes = 0);

using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How a sparse layer used its experts (PEER, arXiv 2407.04153, section 3.3): summed over all tokens, and over the separator before each
/// text.
/// </summary>
/// <param name="Block">The layer's block, from 0.</param>
/// <param name="Experts">Number of experts N.</param>
/// <param name="Usage">The share of the experts whose gates add up to more than 0, 0 to 1.</param>
/// <param name="Unevenness">How far the gates' sums are from even, in nats: 0 when even, log N when one expert has all.</param>
/// <param name="UnweightedUsage">The share of the experts that were chosen at all, 0 to 1.</param>
/// <param name="UnweightedUnevenness">As <paramref name="Unevenness"/>, with every choice counted as 1.</param>
public sealed record SparseLayerUsage(
    int Block, long Experts, double Usage, double Unevenness, double UnweightedUsage, double UnweightedUnevenness)
{
    internal static SparseLayerUsage From(int block, ExpertUsage usage) =>
        new(block, usage.Experts, usage.Usage, usage.Unevenness, usage.UnweightedUsage, usage.UnweightedUnevenness);
}

// Axes: T = tokens, E = experts, K = experts chosen per token, P = T·K pairs, R = rows that are computed, sorted by expert.

namespace Microsoft.ML.MoE.Inference;

/// <summary>Who computes what, in memory of a <see cref="Workspace"/>.</summary>
/// <param name="tokens">T.</param>
/// <param name="choices">K.</param>
/// <param name="ids">Chosen experts (T, K).</param>
/// <param name="gates">Their weights (T, K).</param>
/// <param name="rowEnds">One past the last row of each expert (E).</param>
/// <param name="tokenOfRow">For every row its token (R).</param>
/// <param name="rowOfPair">For every pair its row (P); −1 where it found no place.</param>
internal readonly unsafe struct MixtureRoute(
    int tokens, int choices, int* ids, float* gates, int* rowEnds, long* tokenOfRow, int* rowOfPair)
{
    public readonly int Tokens = tokens;
    public readonly int Choices = choices;
    public readonly int* Ids = ids;
    public readonly float* Gates = gates;
    public readonly int* RowEnds = rowEnds;
    public readonly long* TokenOfRow = tokenOfRow;
    public readonly int* RowOfPair = rowOfPair;

    /// <summary>The same rows with other weights.</summary>
    public MixtureRoute WithGates(float* others) => new(Tokens, Choices, Ids, others, RowEnds, TokenOfRow, RowOfPair);
}

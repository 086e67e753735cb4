// Axes: T = tokens of the whole batch, E = experts, K = experts chosen per token, P = T·K pairs (pair p is choice p mod K of token p div
// K), R = rows that are computed.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>The rows that experts compute, sorted by expert.</summary>
/// <param name="RowEnds_E">One past the last row of each expert, int32 (E).</param>
/// <param name="TokenOfRow_R">For every row its token, int64 (R).</param>
/// <param name="PairOfRow_R">For every row its pair, int64 (R).</param>
internal sealed record SortedRows(Tensor RowEnds_E, Tensor TokenOfRow_R, Tensor PairOfRow_R)
{
    /// <summary>
    /// Checks that the rows are pairs of a batch, each expert's after the one's before. For paths on which they become places in memory:
    /// whoever makes a plan by hand may have made it wrong. To be called before autograd is entered: an exception in its backward pass ends
    /// the process.
    /// </summary>
    /// <param name="experts">Experts of the layer.</param>
    /// <param name="tokens">Tokens of the batch.</param>
    /// <param name="choices">Choices of each.</param>
    /// <exception cref="ArgumentException">They are not.</exception>
    public unsafe void Check(long experts, long tokens, long choices)
    {
        var rowEnds = RowEnds_E.data<int>().ToArray();
        var tokenOfRow = Memory.Longs(TokenOfRow_R);
        var pairOfRow = Memory.Longs(PairOfRow_R);
        var rows = PairOfRow_R.shape[0];
        if (rowEnds.Length != experts || rowEnds[^1] != rows || TokenOfRow_R.shape[0] != rows)
            throw new ArgumentException(
                $"The dispatch plan has {rows} rows, the last of which ends at {rowEnds[^1]}, for {rowEnds.Length} experts; the layer has "
                    + $"{experts}.");
        for (var e = 0; e < rowEnds.Length; e++)
        {
            if (rowEnds[e] < (e == 0 ? 0 : rowEnds[e - 1]))
                throw new ArgumentException($"In the dispatch plan the rows of expert {e} end at {rowEnds[e]}, before they begin.");
        }

        for (var row = 0; row < rows; row++)
        {
            if ((ulong)pairOfRow[row] >= (ulong)(tokens * choices) || tokenOfRow[row] != pairOfRow[row] / choices)
                throw new ArgumentException(
                    $"Row {row} of the dispatch plan is pair {pairOfRow[row]} of token {tokenOfRow[row]}; there are {tokens} tokens with "
                        + $"{choices} choices each.");
        }

        GC.KeepAlive(TokenOfRow_R);
        GC.KeepAlive(PairOfRow_R);
    }
}

// Picking and adding rows by index.
//
// Axes: S = source rows, R = picked rows, D = width.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>
/// Row-wise gather and scatter-add. Both are differentiable, have meta kernels, and take libtorch's fast path for an index that repeats
/// along the row.
/// </summary>
internal static class Rows
{
    /// <summary>Row r of the result is row index[r] of <paramref name="source_SD"/>.</summary>
    /// <param name="source_SD">(S, D).</param>
    /// <param name="index_R">int64 (R).</param>
    /// <returns>(R, D).</returns>
    public static Tensor Gather(Tensor source_SD, Tensor index_R)
    {
        using var scope = NewDisposeScope();
        return source_SD.gather(0, index_R.unsqueeze(1).expand(index_R.shape[0], source_SD.shape[1])).MoveToOuterDisposeScope();
    }

    /// <summary>Adds row r of <paramref name="rows_RD"/> to row index[r] of a result that starts at 0.</summary>
    /// <param name="rows_RD">(R, D).</param>
    /// <param name="index_R">int64 (R).</param>
    /// <param name="count">Rows S of the result.</param>
    /// <returns>(S, D).</returns>
    public static Tensor ScatterAdd(Tensor rows_RD, Tensor index_R, long count)
    {
        using var scope = NewDisposeScope();
        var (rows, width) = (rows_RD.shape[0], rows_RD.shape[1]);
        return zeros([count, width], rows_RD.dtype, rows_RD.device)
            .scatter_add(0, index_R.unsqueeze(1).expand(rows, width), rows_RD)
            .MoveToOuterDisposeScope();
    }
}

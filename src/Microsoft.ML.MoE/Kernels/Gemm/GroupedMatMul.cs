// One matrix product per group of rows, all groups in one call.
//
// Axes: R = rows sorted by group, I = inputs, O = outputs, E = groups.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Gemm;

/// <summary>Multiplies contiguous groups of rows with one matrix each: row r of group e becomes x_r · wₑ.</summary>
internal static class GroupedMatMul
{
    private const int AlignmentBytes = 16;   // _grouped_mm wants every row to start on such a boundary

    /// <summary>Computes the product on the fastest path that the shapes, type and device allow. Differentiable in both operands.</summary>
    /// <param name="x_RI">Rows sorted by group, (R, I), float32 or bfloat16.</param>
    /// <param name="w_EIO">One matrix a group, (E, I, O), of the same type.</param>
    /// <param name="rowEnds_E">One past the last row of each group, int32 (E), ascending; the last is R.</param>
    /// <returns>(R, O), in the operands' type.</returns>
    /// <remarks>
    /// On CUDA libtorch has one kernel for all groups in bfloat16 from compute capability 9.0 on. Elsewhere it multiplies group by group
    /// itself, and waits for the row counts to do so.
    /// </remarks>
    public static Tensor Apply(Tensor x_RI, Tensor w_EIO, Tensor rowEnds_E)
    {
        if (x_RI.shape[0] == 0)
        {
            using var any_IO = w_EIO.select(0, 0);
            return x_RI.matmul(any_IO);
        }
        if (Missing(x_RI.shape[1], x_RI) == 0 && Missing(w_EIO.shape[2], x_RI) == 0)
            return TorchScripts.GroupedMatMul(x_RI, w_EIO, rowEnds_E);
        return x_RI.device.type == DeviceType.CPU ? ByGroup(x_RI, w_EIO, rowEnds_E) : Padded(x_RI, w_EIO, rowEnds_E);
    }

    /// <summary>
    /// The grouped kernel for widths that it refuses, with zeros up to the next width that it takes: an accelerator need not stop for the
    /// row counts.
    /// </summary>
    /// <param name="x_RI">Rows sorted by group, (R, I).</param>
    /// <param name="w_EIO">One matrix a group, (E, I, O).</param>
    /// <param name="rowEnds_E">One past the last row of each group, int32 (E).</param>
    /// <returns>(R, O).</returns>
    internal static Tensor Padded(Tensor x_RI, Tensor w_EIO, Tensor rowEnds_E)
    {
        using var scope = NewDisposeScope();
        var (inputs, outputs) = (Missing(x_RI.shape[1], x_RI), Missing(w_EIO.shape[2], x_RI));
        var padded_RO = TorchScripts.GroupedMatMul(
            nn.functional.pad(x_RI, [0, inputs]), nn.functional.pad(w_EIO, [0, outputs, 0, inputs]), rowEnds_E);
        return padded_RO.narrow(1, 0, w_EIO.shape[2]).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The plain definition, one product per group: for widths that the grouped kernel refuses on the CPU, and what tests compare with.
    /// Copies the row counts to the host.
    /// </summary>
    /// <param name="x_RI">Rows sorted by group, (R, I).</param>
    /// <param name="w_EIO">One matrix a group, (E, I, O).</param>
    /// <param name="rowEnds_E">One past the last row of each group, int32 (E).</param>
    /// <returns>(R, O).</returns>
    public static Tensor ByGroup(Tensor x_RI, Tensor w_EIO, Tensor rowEnds_E)
    {
        using var scope = NewDisposeScope();
        var ends = rowEnds_E.cpu().data<int>().ToArray();
        var sizes = ends.Select((end, e) => (long)(end - (e == 0 ? 0 : ends[e - 1]))).ToArray();
        var groups = x_RI.split(sizes);
        var matrices = w_EIO.unbind(0);   // its backward stacks once, where w[e] would build a full-size zero gradient per group
        return cat(groups.Zip(matrices, (rows, matrix) => rows.matmul(matrix)).ToArray(), 0).MoveToOuterDisposeScope();
    }

    // Columns that are missing to the next boundary.
    private static long Missing(long columns, Tensor x)
    {
        var alignment = AlignmentBytes / x.element_size();
        return (alignment - (columns % alignment)) % alignment;
    }
}

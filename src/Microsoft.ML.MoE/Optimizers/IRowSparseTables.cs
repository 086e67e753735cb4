// Axes: T = tokens of a backward pass, M = rows of a token, N = rows of a table, D = width.

using Microsoft.ML.MoE.Kernels.Tables;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Optimizers;

/// <summary>Tables of equal size of which a step touches a few rows, and their gradient, which is not in <c>grad</c>.</summary>
internal interface IRowSparseTables
{
    /// <summary>The tables by name, each (N, D).</summary>
    IReadOnlyList<KeyValuePair<string, Parameter>> Tables { get; }

    /// <summary>Rows N of each table.</summary>
    int Rows { get; }

    /// <summary>Width D.</summary>
    int Width { get; }

    /// <summary>How they are stored and trained.</summary>
    ExpertTableOptions Options { get; }

    /// <summary>The gradient of all tables that backward passes have added up since it was last dropped; null for none.</summary>
    RowSparseGradient? Gradient { get; }

    /// <summary>Adds the gradient of one backward pass.</summary>
    /// <param name="ids_TM">Rows, int64 (T, M).</param>
    /// <param name="factors">For every table, in the order of <see cref="Tables"/>, what each pair's row of the gradient is a multiple of,
    /// and the multiple.</param>
    void AddGradient(Tensor ids_TM, IReadOnlyList<RowFactors> factors);

    /// <summary>Drops the gradient.</summary>
    void ClearGradient();
}

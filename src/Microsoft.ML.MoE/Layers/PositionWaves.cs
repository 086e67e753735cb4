// Where a patch lies, as sines and cosines: the two-dimensional form of Vaswani et al., arXiv 1706.03762, section 3.5.
//
// Axes: L = patches, row by row, R = rows, C = columns, Q = a quarter of the width, D = model width.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// The embedding sin(x·ω), cos(x·ω), sin(y·ω), cos(y·ω) of a patch in column x and row y, with ω falling from 1 to nearly 1/100.
/// </summary>
internal static class PositionWaves
{
    // The longest wave is then 630 patches: a side has a dozen, and Vaswani's 10,000 would leave most of the width the same everywhere.
    private const double Base = 100;

    /// <summary>Computes the embeddings.</summary>
    /// <param name="rows">Rows of patches.</param>
    /// <param name="columns">Columns of patches.</param>
    /// <param name="width">Model width D, a multiple of 4.</param>
    /// <returns>float32 (L, D) of mean square ½, on the CPU.</returns>
    public static Tensor Create(int rows, int columns, int width)
    {
        using var scope = NewDisposeScope();
        var omega_Q = pow(Base, Range(width / 4, float64).Times(-4.0 / width));
        var x_CQ = Range(columns, float64).unsqueeze(1) * omega_Q;
        var y_RQ = Range(rows, float64).unsqueeze(1) * omega_Q;
        var x_LQ = x_CQ.repeat(rows, 1);
        var y_LQ = y_RQ.repeat_interleave(columns, 0);
        return cat([x_LQ.sin(), x_LQ.cos(), y_LQ.sin(), y_LQ.cos()], 1).to_type(float32).MoveToOuterDisposeScope();
    }
}

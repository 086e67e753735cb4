// Dropout: values are left out at random while training. Srivastava et al., JMLR 15 (2014), in the form that scales what stays.
//
// Axes: … = any axes.

using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// y = x · b / (1 − p), where b is 0 with probability p and else 1, one b a value: torch's own dropout, with random numbers that belong to
/// the training. In evaluation y = x.
/// </summary>
/// <param name="probability">Probability p that a value is left out, 0 to below 1.</param>
internal sealed class Dropout(double probability) : nn.Module<Tensor, Tensor>(nameof(Dropout))
{
    /// <summary>Leaves values out.</summary>
    /// <param name="x">(…).</param>
    /// <returns>(…), in the input's type; the input itself in evaluation or where p is 0.</returns>
    public override Tensor forward(Tensor x)
    {
        if (!training || probability == 0)
            return x.alias();
        using var scope = NewDisposeScope();
        return (x * Draws.OnesLike(x, 1 - probability).DividedByInPlace(1 - probability)).MoveToOuterDisposeScope();
    }
}

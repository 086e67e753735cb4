// Axes: I = inputs, O = outputs, … = any leading axes.

using Microsoft.ML.MoE.Kernels.Gemm;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Experts;

/// <summary>Linear experts merged into one layer, y = W*·x + b* (Uni-Perceiver-MoE, arXiv 2206.04674, section 4.3).</summary>
/// <param name="Weight_OI">W*, float32 (O, I).</param>
/// <param name="Bias_O">b*, float32 (O).</param>
internal sealed record MergedLinear(Tensor Weight_OI, Tensor Bias_O)
{
    /// <summary>Applies the layer.</summary>
    /// <param name="x">float32 (…, I).</param>
    /// <returns>float32 (…, O).</returns>
    public Tensor Apply(Tensor x) =>
        ManagedLinearFunction.Suits(x, Weight_OI)
            ? ManagedLinearFunction.Apply(x, Weight_OI, Bias_O)
            : nn.functional.linear(x, Weight_OI, Bias_O);

    internal MergedLinear DetachFromDisposeScope() => new(Weight_OI.DetachFromDisposeScope(), Bias_O.DetachFromDisposeScope());

    internal void Dispose()
    {
        Weight_OI.Dispose();
        Bias_O.Dispose();
    }
}

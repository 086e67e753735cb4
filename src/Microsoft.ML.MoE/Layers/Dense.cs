// A linear layer whose weights follow the type of its input.
//
// Axes: … = any leading axes, I = inputs, O = outputs.

using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// y = x·Wᵀ + b. Weights are stored in float32 and cast to the type of x: bfloat16 inputs give a bfloat16 product with float32 master weights.
/// </summary>
internal sealed class Dense : nn.Module<Tensor, Tensor>
{
    private readonly Parameter weight;
    private readonly Parameter bias;

    /// <summary>Makes a layer with Xavier-uniform weights and zero bias.</summary>
    /// <param name="inputs">Input width I.</param>
    /// <param name="outputs">Output width O.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="zeroInit">True to start with zero weights (classification heads).</param>
    public Dense(long inputs, long outputs, Device? device = null, bool zeroInit = false) : base(nameof(Dense))
    {
        var weight_OI = empty([outputs, inputs], float32, device);
        weight = new Parameter(zeroInit ? nn.init.zeros_(weight_OI) : Draws.XavierUniform(weight_OI));
        bias = new Parameter(zeros([outputs], float32, device));
        RegisterComponents();
    }

    /// <summary>Applies the layer.</summary>
    /// <param name="x">Input, (…, I), float32 or bfloat16.</param>
    /// <returns>Output, (…, O), in the input's type.</returns>
    public override Tensor forward(Tensor x)
    {
        using var casts = new CastWeights();
        return ForwardWith(x, casts);
    }

    /// <summary>Applies the layer with weights that are cast once for several calls.</summary>
    internal Tensor ForwardWith(Tensor x, CastWeights casts)
    {
        if (ManagedLinearFunction.Suits(x, weight))
            return ManagedLinearFunction.Apply(x, weight, bias);
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, casts.Of(weight, x.dtype), casts.Of(bias, x.dtype)).MoveToOuterDisposeScope();
    }
}

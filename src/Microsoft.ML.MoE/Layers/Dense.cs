// A linear layer whose weights follow the type of its input.
//
// Axes: … = any leading axes, I = inputs, O = outputs.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// y = x·Wᵀ + b. Weights are stored in float32 and cast to the type of x: bfloat16 inputs give a bfloat16 product with float32 master
/// weights.
/// </summary>
internal sealed class Dense : nn.Module<Tensor, Tensor>, IHasHiddenMatrices
{
    [ComponentName(Name = "weight")]
    private readonly Parameter w_OI;

    [ComponentName(Name = "bias")]
    private readonly Parameter b_O;

    /// <summary>Makes a layer with Xavier-uniform weights and zero bias.</summary>
    /// <param name="inputs">Input width I.</param>
    /// <param name="outputs">Output width O.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="zeroInit">True to start with zero weights (classification heads).</param>
    public Dense(long inputs, long outputs, Device? device = null, bool zeroInit = false) : base(nameof(Dense))
    {
        var weight_OI = empty([outputs, inputs], float32, device);
        w_OI = new Parameter(zeroInit ? nn.init.zeros_(weight_OI) : Draws.XavierUniform(weight_OI));
        b_O = new Parameter(zeros([outputs], float32, device));
        RegisterComponents();
    }

    /// <summary>
    /// Layers that are computed as this one, one after the other by their outputs; 0 for a layer that lies next to the input or the output
    /// of the network. Default 1.
    /// </summary>
    public int HiddenLayers { get; init; } = 1;

    /// <inheritdoc/>
    public IEnumerable<HiddenMatrices> HiddenMatrices => HiddenLayers > 0 ? [new(w_OI, HiddenLayers)] : [];

    /// <summary>Applies the layer.</summary>
    /// <param name="x">Input, (…, I), float32 or bfloat16.</param>
    /// <returns>Output, (…, O), in the input's type.</returns>
    public override Tensor forward(Tensor x)
    {
        if (ManagedLinearFunction.Suits(x, w_OI))
            return ManagedLinearFunction.Apply(x, w_OI, b_O);
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, CastWeights.Of(w_OI, x.dtype), CastWeights.Of(b_O, x.dtype)).MoveToOuterDisposeScope();
    }

    /// <summary>The layer in a plan: its weights as they are now.</summary>
    internal LinearStep ToStep() => LinearStep.Of(w_OI, b_O);

    /// <summary>The layer in a plan, with a normalisation behind it in the same weights.</summary>
    /// <param name="norm">The normalisation; null for none.</param>
    internal LinearStep ToStep(BatchNorm? norm)
    {
        if (norm is null)
            return ToStep();
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var (scale_O, shift_O) = norm.InEvaluation();
        return LinearStep.Of(w_OI * scale_O.unsqueeze(1), (b_O * scale_O).Plus(shift_O));
    }
}

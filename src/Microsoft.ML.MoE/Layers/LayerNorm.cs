// Layer normalisation. Ba et al., arXiv 1607.06450.
//
// Axes: … = any leading axes, D = width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>y = (x − E[x]) / √(Var[x] + ε) · γ + β over the last axis, in float32.</summary>
internal sealed class LayerNorm : nn.Module<Tensor, Tensor>
{
    private readonly long[] shape;
    private readonly double epsilon;
    [ComponentName(Name = "weight")]
    private readonly Parameter gamma_D;

    [ComponentName(Name = "bias")]
    private readonly Parameter beta_D;

    /// <summary>Makes a normalisation with γ = 1 and β = 0.</summary>
    /// <param name="width">Width D.</param>
    /// <param name="epsilon">Added to the variance. Default 1e-6.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public LayerNorm(long width, double epsilon = 1e-6, Device? device = null) : base(nameof(LayerNorm))
    {
        shape = [width];
        this.epsilon = epsilon;
        gamma_D = new Parameter(ones(shape, float32, device));
        beta_D = new Parameter(zeros(shape, float32, device));
        RegisterComponents();
    }

    /// <summary>Normalises every vector of the last axis.</summary>
    /// <param name="x">Input, float32 (…, D).</param>
    /// <returns>Output, float32 (…, D).</returns>
    public override Tensor forward(Tensor x) =>
        // Libtorch has no meta kernel for it.
        x.device.type == DeviceType.META ? Define(x) : nn.functional.layer_norm(x, shape, gamma_D, beta_D, epsilon);

    /// <summary>The plain definition: for the meta device, and what tests compare with.</summary>
    /// <param name="x">Input, float32 (…, D).</param>
    internal Tensor Define(Tensor x)
    {
        using var scope = NewDisposeScope();
        var centred = x - x.mean([-1], keepdim: true);
        return (centred / centred.Squared().mean([-1], keepdim: true).Plus(epsilon).sqrt() * gamma_D)
            .Plus(beta_D)
            .MoveToOuterDisposeScope();
    }

    /// <summary>The layer in a plan: its weights as they are now.</summary>
    internal NormStep ToStep() => new(gamma_D, beta_D, epsilon);
}

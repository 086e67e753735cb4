// Experts that are linear layers, and their merging into one. Uni-Perceiver-MoE, arXiv 2206.04674, sections 4.2 and 4.3.
//
// Axes: T = tokens, I = inputs, O = outputs, E = experts, K = experts chosen, R = computed rows.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Experts;

/// <summary>E linear layers, yₜ = Σₖ gₜₖ · (Wₑ·xₜ + bₑ) with e the k-th expert of token t.</summary>
internal sealed class LinearExperts : nn.Module<Tensor, Tensor, DispatchPlan, Tensor>, IHasHiddenMatrices
{
    [ComponentName(Name = "weight")]
    private readonly Parameter w_EIO;

    [ComponentName(Name = "bias")]
    private readonly Parameter b_EO;

    /// <summary>Makes experts with Xavier-uniform weights and zero biases.</summary>
    /// <param name="inputs">Input width I.</param>
    /// <param name="outputs">Output width O.</param>
    /// <param name="experts">Number of experts E.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public LinearExperts(long inputs, long outputs, int experts, Device? device = null) : base(nameof(LinearExperts))
    {
        var bound = Math.Sqrt(6.0 / (inputs + outputs));   // Xavier, by the fans of one expert rather than of the whole tensor
        w_EIO = new Parameter(Draws.Uniform(empty([experts, inputs, outputs], float32, device), -bound, bound));
        b_EO = new Parameter(zeros([experts, outputs], float32, device));
        RegisterComponents();
    }

    /// <summary>Layers that each expert computes as one, one after the other by their outputs. Default 1.</summary>
    internal int HiddenLayers { get; init; } = 1;

    IEnumerable<HiddenMatrices> IHasHiddenMatrices.HiddenMatrices => [new(w_EIO, HiddenLayers, InputsFirst: true)];

    /// <summary>Number of experts E.</summary>
    internal int Count => (int)w_EIO.shape[0];

    /// <summary>Sends every token to its experts.</summary>
    /// <param name="x_TI">Tokens, float32 (T, I).</param>
    /// <param name="gates_TK">Gates, float32 (T, K).</param>
    /// <param name="plan">Which pairs are computed, sorted by expert.</param>
    /// <returns>float32 (T, O).</returns>
    public override Tensor forward(Tensor x_TI, Tensor gates_TK, DispatchPlan plan)
    {
        using var scope = NewDisposeScope();
        var y_RO = GroupedMatMul
            .Apply(Rows.Gather(x_TI, plan.TokenOfRow_R), w_EIO, plan.RowEnds_E)
            .Plus(Rows.Gather(b_EO, plan.ExpertOfRow_R));
        var gates_R = (gates_TK * plan.Kept_TK).flatten().gather(0, plan.PairOfRow_R);
        return Rows.ScatterAdd(y_RO * gates_R.unsqueeze(1), plan.TokenOfRow_R, x_TI.shape[0]).MoveToOuterDisposeScope();
    }

    /// <summary>One linear layer that does what some experts do together: W* = Σₖ gₖ·Wₑ and b* = Σₖ gₖ·bₑ, differentiable.</summary>
    /// <param name="ids_K">The experts, int64 (K).</param>
    /// <param name="gates_K">Their weights, float32 (K).</param>
    /// <returns>The caller's: y = x·W* + b*.</returns>
    public MergedLinear Merge(Tensor ids_K, Tensor gates_K)
    {
        using var scope = NewDisposeScope();
        var weight_OI = (w_EIO.index_select(0, ids_K) * gates_K.view(-1, 1, 1)).sum([0]).transpose(0, 1);   // (K, I, O) -> (O, I)
        var bias_O = (b_EO.index_select(0, ids_K) * gates_K.unsqueeze(1)).sum([0]);
        return new MergedLinear(weight_OI.contiguous().MoveToOuterDisposeScope(), bias_O.MoveToOuterDisposeScope());
    }
}

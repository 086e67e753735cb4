// The experts of a sparse feed-forward layer: E two-layer GELU networks whose weights lie in one tensor each. WideNet, arXiv 2107.11817,
// section 3.2.
//
// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, R =
// computed rows.

using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Experts;
using Microsoft.ML.MoE.Kernels.Gemm;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Experts;

/// <summary>
/// E feed-forward experts, FFNₑ(x) = W2ₑ·gelu(W1ₑ·x + b1ₑ) + b2ₑ. The rows of each expert lie next to each other, so that all experts are
/// one grouped matrix product a layer.
/// </summary>
public sealed class FeedForwardExperts : nn.Module<Tensor, Tensor, DispatchPlan, Tensor>, IHasHiddenMatrices
{
    [ComponentName(Name = "weight1")]
    private readonly Parameter w1_EDF;

    [ComponentName(Name = "bias1")]
    private readonly Parameter b1_EF;

    [ComponentName(Name = "weight2")]
    private readonly Parameter w2_EFD;

    [ComponentName(Name = "bias2")]
    private readonly Parameter b2_ED;

    /// <summary>Makes experts with Xavier-uniform weights and zero biases.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="hiddenWidth">Hidden width F of each expert.</param>
    /// <param name="experts">Number of experts E.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public FeedForwardExperts(int width, int hiddenWidth, int experts, Device? device = null) : base(nameof(FeedForwardExperts))
    {
        Experts = experts;
        var bound = Math.Sqrt(6.0 / (width + hiddenWidth));   // Xavier, by the fans of one expert rather than of the whole tensor
        w1_EDF = new Parameter(Draws.Uniform(empty([experts, width, hiddenWidth], float32, device), -bound, bound));
        b1_EF = new Parameter(zeros([experts, hiddenWidth], float32, device));
        w2_EFD = new Parameter(Draws.Uniform(empty([experts, hiddenWidth, width], float32, device), -bound, bound));
        b2_ED = new Parameter(zeros([experts, width], float32, device));
        RegisterComponents();
    }

    /// <summary>Number of experts E.</summary>
    public int Experts { get; }

    IEnumerable<HiddenMatrices> IHasHiddenMatrices.HiddenMatrices => [new(w1_EDF, InputsFirst: true), new(w2_EFD, InputsFirst: true)];

    /// <summary>The weights of all experts.</summary>
    internal FeedForwardWeights Weights => new(w1_EDF, b1_EF, w2_EFD, b2_ED);

    /// <summary>
    /// Sends every row to its expert and adds up each token's outputs, weighted by its gates: yₜ = Σₖ gₜₖ · FFN(xₜ; expert of (t, k)).
    /// </summary>
    /// <param name="x_TD">Tokens, (T, D); their type is the type of the matrix products.</param>
    /// <param name="gates_TK">Gates, float32 (T, K). Those of dropped pairs count as 0.</param>
    /// <param name="plan">Which pairs are computed, sorted by expert.</param>
    /// <returns>Combined outputs, float32 (T, D); 0 for a token of which every pair was dropped.</returns>
    /// <exception cref="ArgumentException">The tokens are not as wide as the layer, or tokens, gates and plan do not belong
    /// together.</exception>
    public override Tensor forward(Tensor x_TD, Tensor gates_TK, DispatchPlan plan)
    {
        if (x_TD.dim() != 2 || x_TD.shape[1] != w1_EDF.shape[1])
            throw new ArgumentException(
                $"The tokens have the shape ({string.Join(", ", x_TD.shape)}); (T, {w1_EDF.shape[1]}) is wanted.", nameof(x_TD));
        if (gates_TK.dim() != 2 || gates_TK.shape[0] != x_TD.shape[0])
            throw new ArgumentException(
                $"The gates have the shape ({string.Join(", ", gates_TK.shape)}); ({x_TD.shape[0]}, K) is wanted, as there are "
                    + $"{x_TD.shape[0]} tokens.",
                nameof(gates_TK));
        if (!plan.Kept_TK.shape.SequenceEqual(gates_TK.shape) || plan.RowEnds_E.shape[0] != Experts)
        {
            throw new ArgumentException(
                $"The dispatch plan is for {plan.Kept_TK.shape[0]} tokens with {plan.Kept_TK.shape[1]} choices among "
                    + $"{plan.RowEnds_E.shape[0]} experts; "
                    + $"here are {gates_TK.shape[0]} tokens with {gates_TK.shape[1]} choices among {Experts}.", nameof(plan));
        }

        return ManagedExpertsFunction.Suits(x_TD, gates_TK, w1_EDF, b1_EF, w2_EFD, b2_ED) ? ForwardManaged(x_TD, gates_TK, plan)
            : BFloat16ExpertsFunction.Suits(x_TD, gates_TK) ? ForwardInBFloat16(x_TD, gates_TK, plan)
            : ForwardByTorch(x_TD, gates_TK, plan);
    }

    /// <summary>The path for float32 on the CPU.</summary>
    internal Tensor ForwardManaged(Tensor x_TD, Tensor gates_TK, DispatchPlan plan) =>
        ManagedExpertsFunction.Apply(x_TD, gates_TK, Weights, plan.Rows);

    /// <summary>The path for bfloat16 on the CPU.</summary>
    internal Tensor ForwardInBFloat16(Tensor x_TD, Tensor gates_TK, DispatchPlan plan)
    {
        using var scope = NewDisposeScope();
        var weights = new FeedForwardWeights(
            CastWeights.Of(w1_EDF, bfloat16), CastWeights.Of(b1_EF, float32), CastWeights.Of(w2_EFD, bfloat16),
            CastWeights.Of(b2_ED, float32));
        return BFloat16ExpertsFunction.Apply(x_TD, gates_TK, weights, plan.Rows).MoveToOuterDisposeScope();
    }

    /// <summary>The path through libtorch's operators, for every device and type.</summary>
    internal Tensor ForwardByTorch(Tensor x_TD, Tensor gates_TK, DispatchPlan plan)
    {
        using var scope = NewDisposeScope();
        var type = x_TD.dtype;
        var x_RD = Rows.Gather(x_TD, plan.TokenOfRow_R);
        var hidden_RF = GroupedMatMul
            .Apply(x_RD, CastWeights.Of(w1_EDF, type), plan.RowEnds_E)
            .Plus(Rows.Gather(CastWeights.Of(b1_EF, type), plan.ExpertOfRow_R));
        var y_RD = GroupedMatMul
            .Apply(nn.functional.gelu(hidden_RF), CastWeights.Of(w2_EFD, type), plan.RowEnds_E)
            .Plus(Rows.Gather(CastWeights.Of(b2_ED, type), plan.ExpertOfRow_R));

        var gates_R = (gates_TK * plan.Kept_TK).flatten().gather(0, plan.PairOfRow_R);
        return Rows.ScatterAdd(y_RD.to_type(float32) * gates_R.unsqueeze(1), plan.TokenOfRow_R, x_TD.shape[0]).MoveToOuterDisposeScope();
    }
}

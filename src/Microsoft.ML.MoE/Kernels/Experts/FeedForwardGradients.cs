// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>The gradients of a pass through feed-forward experts, all of which a backward pass overwrites.</summary>
/// <param name="Dx_TD">Of the tokens; null if it is not wanted.</param>
/// <param name="DGates_TK">Of the gates, float32, 0 for dropped pairs.</param>
/// <param name="Dw1_EDF">Of the weights.</param>
/// <param name="Db1_EF">Of the biases, float32.</param>
/// <param name="Dw2_EFD">Of the weights.</param>
/// <param name="Db2_ED">Of the biases, float32.</param>
internal sealed record FeedForwardGradients(Tensor? Dx_TD, Tensor DGates_TK, Tensor Dw1_EDF, Tensor Db1_EF, Tensor Dw2_EFD, Tensor Db2_ED)
{
    /// <summary>The gradients in the order of tokens, gates, weights and biases, moved to the outer dispose scope.</summary>
    public IEnumerable<Tensor> Moved() =>
        [
            Dx_TD?.MoveToOuterDisposeScope()!,
            .. new[] { DGates_TK, Dw1_EDF, Db1_EF, Dw2_EFD, Db2_ED }.Select(gradient => gradient.MoveToOuterDisposeScope()),
        ];
}

// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, P =
// places of padded rows, C = places of a chunk.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>The tensors of a pass through <see cref="BFloat16Experts"/> that forward and backward pass have in common.</summary>
/// <param name="Gates_TK">Gates, float32.</param>
/// <param name="W1_EDF">Weights.</param>
/// <param name="W2_EFD">Weights.</param>
/// <param name="B2_ED">Biases, float32.</param>
/// <param name="X_PD">The tokens of the rows, which the forward pass gathers.</param>
/// <param name="Hidden_CF">For every chunk the sums before GELU, which the forward pass leaves; null where no backward pass
/// follows.</param>
/// <param name="RowOutputs_PD">The experts' outputs before bias and gates, which the forward pass leaves.</param>
internal sealed record BFloat16Pass(
    Tensor Gates_TK, Tensor W1_EDF, Tensor W2_EFD, Tensor B2_ED, Tensor X_PD, Tensor[]? Hidden_CF, Tensor RowOutputs_PD)
{
    /// <summary>D.</summary>
    public int Width { get; } = (int)W1_EDF.shape[1];

    /// <summary>F.</summary>
    public int HiddenWidth { get; } = (int)W1_EDF.shape[2];
}

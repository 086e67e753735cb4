// Axes: D = model width, F = hidden width of an expert, E = experts.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>The weights of feed-forward experts, FFNₑ(x) = gelu(x·W1ₑ + b1ₑ)·W2ₑ + b2ₑ.</summary>
/// <param name="W1_EDF">(E, D, F).</param>
/// <param name="B1_EF">(E, F).</param>
/// <param name="W2_EFD">(E, F, D).</param>
/// <param name="B2_ED">(E, D).</param>
internal sealed record FeedForwardWeights(Tensor W1_EDF, Tensor B1_EF, Tensor W2_EFD, Tensor B2_ED)
{
    /// <summary>The same, by handles of their own, as autograd's functions want their arguments.</summary>
    public FeedForwardWeights Unshared() =>
        new(Memory.Unshared(W1_EDF), Memory.Unshared(B1_EF), Memory.Unshared(W2_EFD), Memory.Unshared(B2_ED));
}

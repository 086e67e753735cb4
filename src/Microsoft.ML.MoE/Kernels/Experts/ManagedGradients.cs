// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token.

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>Where the gradients of a <see cref="ManagedPass"/> go.</summary>
/// <param name="gradients">The tensors, float32 on the CPU; kept by the caller.</param>
internal readonly unsafe struct ManagedGradients(FeedForwardGradients gradients)
{
    /// <summary>Of the tokens (T, D); null if it is not wanted.</summary>
    public readonly float* X = gradients.Dx_TD is null ? null : Memory.Floats(gradients.Dx_TD);

    /// <summary>(T, K).</summary>
    public readonly float* Gates = Memory.Floats(gradients.DGates_TK);

    /// <summary>(E, D, F).</summary>
    public readonly float* W1 = Memory.Floats(gradients.Dw1_EDF);

    /// <summary>(E, F).</summary>
    public readonly float* B1 = Memory.Floats(gradients.Db1_EF);

    /// <summary>(E, F, D).</summary>
    public readonly float* W2 = Memory.Floats(gradients.Dw2_EFD);

    /// <summary>(E, D).</summary>
    public readonly float* B2 = Memory.Floats(gradients.Db2_ED);
}

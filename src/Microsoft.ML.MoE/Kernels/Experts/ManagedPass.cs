// Axes: T = tokens of the whole batch, D = model width, F = hidden width of an expert, E = experts, K = experts chosen per token, R =
// computed rows, C = rows of a chunk.

namespace Microsoft.ML.MoE.Kernels.Experts;

/// <summary>The numbers of a pass through <see cref="ManagedExperts"/> that forward and backward pass have in common.</summary>
internal readonly unsafe struct ManagedPass
{
    /// <summary>Tokens (T, D).</summary>
    public required float* X { get; init; }

    /// <summary>(T, K).</summary>
    public required float* Gates { get; init; }

    /// <summary>(E, D, F).</summary>
    public required float* W1 { get; init; }

    /// <summary>(E, F, D).</summary>
    public required float* W2 { get; init; }

    /// <summary>
    /// For every chunk, the sums before GELU (C, F): room for them in the forward pass, which leaves them to the backward pass.
    /// </summary>
    public required nint[] Hidden { get; init; }

    /// <summary>
    /// The experts' outputs before the gates (R, D): room for them in the forward pass, which leaves them to the backward pass.
    /// </summary>
    public required float* RowOutputs { get; init; }
}

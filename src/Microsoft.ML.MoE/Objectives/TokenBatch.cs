// Axes: N = sequences, L = tokens of a sequence.

using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Sequences of tokens with the token that follows each. Owns its tensors.</summary>
internal sealed class TokenBatch : IDisposable
{
    /// <summary>Takes the tensors over, out of any dispose scope.</summary>
    /// <param name="inputs_NL">Tokens, int64 (N, L), at least one, on any device.</param>
    /// <param name="targets_NL">The token after each, int64 (N, L), on the same device.</param>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public TokenBatch(Tensor inputs_NL, Tensor targets_NL)
    {
        if (inputs_NL.dim() != 2 || inputs_NL.dtype != ScalarType.Int64 || inputs_NL.numel() == 0)
            throw new ArgumentException(
                $"The inputs are {inputs_NL.dtype} ({string.Join(", ", inputs_NL.shape)}); Int64 (N, L) with at least one token is wanted.",
                nameof(inputs_NL));
        if (targets_NL.dtype != ScalarType.Int64 || !targets_NL.shape.AsSpan().SequenceEqual(inputs_NL.shape))
            throw new ArgumentException(
                $"The targets are {targets_NL.dtype} ({string.Join(", ", targets_NL.shape)}); Int64 "
                    + $"({string.Join(", ", inputs_NL.shape)}) is wanted, like the inputs.",
                nameof(targets_NL));
        Inputs_NL = inputs_NL.DetachFromDisposeScope();
        Targets_NL = targets_NL.DetachFromDisposeScope();
    }

    /// <summary>Tokens, int64 (N, L).</summary>
    public Tensor Inputs_NL { get; }

    /// <summary>The token after each, int64 (N, L).</summary>
    public Tensor Targets_NL { get; }

    /// <summary>Number of tokens, N · L.</summary>
    public int Count => (int)Inputs_NL.numel();

    /// <summary>Releases the tensors.</summary>
    public void Dispose()
    {
        Inputs_NL.Dispose();
        Targets_NL.Dispose();
    }
}

// Axes: N = sequences, L = tokens of a sequence, V = vocabulary, D = model width, … = any leading axes.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// A vector for every token, which can also be what the next token is told from (tied embeddings; Press and Wolf, arXiv 1608.05859).
/// </summary>
internal sealed class TokenEmbedding : nn.Module<Tensor, Tensor>
{
    [ComponentName(Name = "weight")]
    private readonly Parameter e_VD;

    /// <summary>Makes vectors that are normal with mean 0.</summary>
    /// <param name="vocabulary">Number of tokens V.</param>
    /// <param name="width">Model width D.</param>
    /// <param name="deviation">Standard deviation.</param>
    /// <param name="device">Where they lie; CPU by default.</param>
    public TokenEmbedding(int vocabulary, int width, double deviation = 0.02, Device? device = null) : base(nameof(TokenEmbedding))
    {
        e_VD = new Parameter(Draws.Normal(empty([vocabulary, width], float32, device), 0, deviation));
        RegisterComponents();
    }

    /// <summary>The vectors of tokens.</summary>
    /// <param name="ids_NL">Tokens, int64 (N, L), each from 0 to V − 1.</param>
    /// <returns>float32 (N, L, D).</returns>
    public override Tensor forward(Tensor ids_NL)
    {
        using var scope = NewDisposeScope();
        return e_VD.index_select(0, ids_NL.flatten()).view(ids_NL.shape[0], ids_NL.shape[1], -1).MoveToOuterDisposeScope();
    }

    /// <summary>The inner product of vectors with every token's.</summary>
    /// <param name="x">(…, D).</param>
    /// <returns>(…, V), in the input's type.</returns>
    public Tensor Score(Tensor x)
    {
        using var scope = NewDisposeScope();
        return nn.functional.linear(x, CastWeights.Of(e_VD, x.dtype)).MoveToOuterDisposeScope();
    }

    /// <summary>The vectors as they are now (V, D), for a plan.</summary>
    internal PinnedFloats ToNumbers() => Numbers.Of(e_VD);

    /// <summary><see cref="Score"/> in a plan: with the vectors as they are now.</summary>
    internal LinearStep ToScores() => LinearStep.Of(e_VD, null);
}

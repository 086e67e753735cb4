// Axes: N = sequences, L = tokens of a sequence, D = model width.

using Microsoft.ML.MoE.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>Embedded sequences of a batch, as the encoder of a <see cref="Generalist"/> reads them.</summary>
/// <param name="Tokens_NLD">The tokens, float32 (N, L, D).</param>
/// <param name="Layout">Their roles.</param>
/// <param name="Mask_NL">False for padding, bool (N, L); null for none.</param>
/// <param name="Visible_LL">True where a token (row) sees another (column), bool (L, L); null where all see all.</param>
public sealed record GeneralistSequence(Tensor Tokens_NLD, SequenceLayout Layout, Tensor? Mask_NL = null, Tensor? Visible_LL = null)
{
    internal GeneralistSequence MoveToOuterDisposeScope() => this with
    {
        Tokens_NLD = Tokens_NLD.MoveToOuterDisposeScope(),
        Mask_NL = Mask_NL?.MoveToOuterDisposeScope(),
        Visible_LL = Visible_LL?.MoveToOuterDisposeScope(),
    };
}

// Axes: N = sequences, L = tokens of a sequence, D = model width.

using Microsoft.ML.MoE.Layers;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Embedded sequences of a batch, as the encoder of a <see cref="Generalist"/> reads them: its <c>Embed…</c> methods make them.
/// </summary>
public sealed record GeneralistSequence
{
    internal GeneralistSequence(Tensor tokens_NLD, SequenceLayout layout, Tensor? mask_NL = null, Tensor? visible_LL = null)
    {
        Tokens_NLD = tokens_NLD;
        Layout = layout;
        Mask_NL = mask_NL;
        Visible_LL = visible_LL;
    }

    /// <summary>The tokens, float32 (N, L, D).</summary>
    public Tensor Tokens_NLD { get; internal init; }

    /// <summary>False for padding, bool (N, L); null for none.</summary>
    public Tensor? Mask_NL { get; internal init; }

    /// <summary>True where a token (row) sees another (column), bool (L, L); null where all see all.</summary>
    public Tensor? Visible_LL { get; internal init; }

    /// <summary>The roles of the tokens.</summary>
    internal SequenceLayout Layout { get; init; }

    internal GeneralistSequence MoveToOuterDisposeScope() => this with
    {
        Tokens_NLD = Tokens_NLD.MoveToOuterDisposeScope(),
        Mask_NL = Mask_NL?.MoveToOuterDisposeScope(),
        Visible_LL = Visible_LL?.MoveToOuterDisposeScope(),
    };
}

// Axes: N = sequences, L = tokens of a sequence, V = vocabulary, D = model width.

using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>What a language model returns for a batch.</summary>
/// <param name="Logits_NLV">Scores of the token after each position, before the softmax, float32 (N, L, V).</param>
/// <param name="States_NLD">The last layer, normalised, which they are read from, float32 (N, L, D).</param>
/// <param name="AuxiliaryLoss">Weighted losses of sparse layers, summed: a float32 scalar to add to the main loss; 0 where there are
/// none.</param>
/// <param name="Selections">The experts that each sparse layer used, in the order of the blocks; dense layers have none.</param>
public sealed record LanguageModelOutput(
    Tensor Logits_NLV, Tensor States_NLD, Tensor AuxiliaryLoss, IReadOnlyList<ExpertSelection> Selections)
{
    internal LanguageModelOutput MoveToOuterDisposeScope() => new(
        Logits_NLV.MoveToOuterDisposeScope(), States_NLD.MoveToOuterDisposeScope(), AuxiliaryLoss.MoveToOuterDisposeScope(),
        Selections.Select(selection => selection.MoveToOuterDisposeScope()).ToArray());
}

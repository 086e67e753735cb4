// Axes: N = images, D = model width, C = classes.

using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>What an image classifier returns for a batch.</summary>
/// <param name="Logits_NC">Class scores before the softmax, float32 (N, C).</param>
/// <param name="AuxiliaryLoss">Weighted balance losses, summed over the routing operations: a float32 scalar to add to the main loss; 0 for
/// a dense model.</param>
/// <param name="Features_ND">
/// The pooled vector that the classes are read from, float32 (N, D): the mean over the tokens, or the class token, of what the last block
/// gives and the final LayerNorm makes of it; after the linear layer with tanh where the model has one.
/// </param>
/// <param name="Routing">The routing of each routing operation, in the order of the blocks.</param>
public sealed record ImageClassifierOutput(Tensor Logits_NC, Tensor AuxiliaryLoss, Tensor Features_ND, IReadOnlyList<RoutingRecord> Routing)
{
    internal ImageClassifierOutput MoveToOuterDisposeScope() => new(
        Logits_NC.MoveToOuterDisposeScope(), AuxiliaryLoss.MoveToOuterDisposeScope(), Features_ND.MoveToOuterDisposeScope(),
        Routing.Select(record => record.MoveToOuterDisposeScope()).ToArray());
}

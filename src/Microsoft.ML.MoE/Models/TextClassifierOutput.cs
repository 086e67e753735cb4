using Microsoft.ML.MoE.Routing;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>What a <see cref="TextClassifier"/> returns.</summary>
/// <param name="Logits_NC">Class scores before the softmax, float32 (N, C).</param>
/// <param name="Features_ND">The mean of each text's vectors, from which the classes are read, float32 (N, D).</param>
/// <param name="AuxiliaryLoss">Weighted balance losses, a float32 scalar to add to the main loss; 0 where there are no experts.</param>
/// <param name="Routing">The record of every routing operation, in order.</param>
internal sealed record TextClassifierOutput(
    Tensor Logits_NC, Tensor Features_ND, Tensor AuxiliaryLoss, IReadOnlyList<RoutingRecord> Routing)
{
    internal TextClassifierOutput MoveToOuterDisposeScope() => new(
        Logits_NC.MoveToOuterDisposeScope(),
        Features_ND.MoveToOuterDisposeScope(),
        AuxiliaryLoss.MoveToOuterDisposeScope(),
        [.. Routing.Select(record => record.MoveToOuterDisposeScope())]);
}

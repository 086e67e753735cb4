using Microsoft.ML.MoE.Routing;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>What a <see cref="TextEncoder"/> returns.</summary>
/// <param name="States_NLD">A vector for every token, float32 (N, L, D); those of padding mean nothing.</param>
/// <param name="Pooled_ND">tanh(W·x + b) of each text's first token, float32 (N, D); null where the network has no such layer.</param>
/// <param name="AuxiliaryLoss">Weighted balance losses, a float32 scalar to add to the main loss; 0 where there are no experts.</param>
/// <param name="Routing">The record of every routing operation, in order, of the tokens that are no padding.</param>
public sealed record TextEncoderOutput(
    Tensor States_NLD, Tensor? Pooled_ND, Tensor AuxiliaryLoss, IReadOnlyList<RoutingRecord> Routing)
{
    internal TextEncoderOutput MoveToOuterDisposeScope() => new(
        States_NLD.MoveToOuterDisposeScope(),
        Pooled_ND?.MoveToOuterDisposeScope(),
        AuxiliaryLoss.MoveToOuterDisposeScope(),
        [.. Routing.Select(record => record.MoveToOuterDisposeScope())]);
}

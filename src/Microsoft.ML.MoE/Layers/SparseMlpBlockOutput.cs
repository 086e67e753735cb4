// Axes: N = images, S = patches, C = channels.

using Microsoft.ML.MoE.Routing;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>What a <see cref="SparseMlpBlock"/> returns.</summary>
/// <param name="Output_NSC">Mixed patches, float32 (N, S, C).</param>
/// <param name="Routing">The routing of the spatial and then of the channel mixture; a dense network has none.</param>
public sealed record SparseMlpBlockOutput(Tensor Output_NSC, IReadOnlyList<RoutingRecord> Routing)
{
    internal SparseMlpBlockOutput MoveToOuterDisposeScope() =>
        new(Output_NSC.MoveToOuterDisposeScope(), Routing.Select(record => record.MoveToOuterDisposeScope()).ToArray());
}

using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>What a <see cref="MixtureOfExperts"/> layer returns.</summary>
/// <param name="Output_TD">Combined expert outputs, float32 (T, D).</param>
/// <param name="Routing">What was decided and computed.</param>
public sealed record MixtureOfExpertsOutput(Tensor Output_TD, RoutingRecord Routing)
{
    internal MixtureOfExpertsOutput MoveToOuterDisposeScope() =>
        new(Output_TD.MoveToOuterDisposeScope(), Routing.MoveToOuterDisposeScope());
}

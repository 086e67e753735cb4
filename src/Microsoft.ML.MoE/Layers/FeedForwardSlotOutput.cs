using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>What a <see cref="FeedForwardSlot"/> returns.</summary>
/// <param name="Output_TD">The outputs, float32 (T, D). Carries gradients.</param>
/// <param name="AuxiliaryLoss">What is to be added to the main loss, weighted already: a float32 scalar that carries gradients; null for a
/// layer without one.</param>
/// <param name="Selection">The experts that were used, with their gates; null for a dense layer.</param>
public sealed record FeedForwardSlotOutput(Tensor Output_TD, Tensor? AuxiliaryLoss, ExpertSelection? Selection)
{
    internal FeedForwardSlotOutput MoveToOuterDisposeScope() =>
        new(Output_TD.MoveToOuterDisposeScope(), AuxiliaryLoss?.MoveToOuterDisposeScope(), Selection?.MoveToOuterDisposeScope());
}

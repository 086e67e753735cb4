// Axes: T = tokens of the whole batch, D = model width.

using Microsoft.ML.MoE.Inference;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>The dense feed-forward network as a <see cref="FeedForwardSlot"/>: no auxiliary loss, no experts.</summary>
internal sealed class DenseSlot : FeedForwardSlot
{
    private readonly ScalarType computeType;
    private readonly FeedForward network;

    /// <summary>Makes a network with Xavier-uniform weights and zero biases.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="options">Hidden width.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public DenseSlot(int width, DenseSlotOptions options, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(DenseSlot))
    {
        options.Validate();
        this.computeType = computeType;
        network = new FeedForward(width, options.HiddenWidth, device);
        RegisterComponents();
    }

    private protected override FeedForwardSlotOutput Compute(Tensor x_TD)
    {
        using var scope = NewDisposeScope();
        return new FeedForwardSlotOutput(network.forward(x_TD.to_type(computeType)).to_type(float32), null, null).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    internal override TokenStep ToStep() => network.ToStep();
}

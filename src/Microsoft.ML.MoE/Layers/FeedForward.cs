// The dense feed-forward network of a Transformer block.
//
// Axes: … = any leading axes, D = model width, F = hidden width.

using Microsoft.ML.MoE.Inference;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>FFN(x) = W2·gelu(W1·x + b1) + b2.</summary>
internal sealed class FeedForward : nn.Module<Tensor, Tensor>
{
    private readonly Dense expand;
    private readonly Dense contract;

    /// <summary>Makes a network with Xavier-uniform weights and zero biases.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="hiddenWidth">Hidden width F.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public FeedForward(int width, int hiddenWidth, Device? device = null) : base(nameof(FeedForward))
    {
        expand = new Dense(width, hiddenWidth, device);
        contract = new Dense(hiddenWidth, width, device);
        RegisterComponents();
    }

    /// <summary>Applies the network to every vector of the last axis.</summary>
    /// <param name="x">Input, (…, D).</param>
    /// <returns>Output, (…, D), in the input's type.</returns>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        return contract.forward(nn.functional.gelu(expand.forward(x))).MoveToOuterDisposeScope();
    }

    /// <summary>The network in a plan: its weights as they are now.</summary>
    internal FeedForwardStep ToStep() => new(expand.ToStep(), contract.ToStep());
}

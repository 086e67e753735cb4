// The dense feed-forward network of a Transformer block.
//
// Axes: … = any leading axes, D = model width, F = hidden width.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>FFN(x) = W2·gelu(W1·x + b1) + b2.</summary>
internal sealed class FeedForward : nn.Module<Tensor, Tensor>
{
    private readonly Dense expand;
    private readonly Dense contract;
    private readonly GeluForm gelu;

    /// <summary>Makes a network with Xavier-uniform weights and zero biases.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="hiddenWidth">Hidden width F.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="gelu">The form of GELU; the exact one by default.</param>
    public FeedForward(int width, int hiddenWidth, Device? device = null, GeluForm gelu = GeluForm.Exact) : base(nameof(FeedForward))
    {
        this.gelu = gelu;
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
        return contract.forward(Activate(expand.forward(x))).MoveToOuterDisposeScope();
    }

    private Tensor Activate(Tensor x) =>
        gelu == GeluForm.Exact
            ? nn.functional.gelu(x)
            // ½x · (1 + tanh(√(2/π) · (x + 0.044715x³)))
            : x.Times(0.5).multiply(x.Plus(x.Squared().multiply(x).Times(0.044715)).Times(Math.Sqrt(2 / Math.PI)).tanh().Plus(1));

    /// <summary>The network in a plan, by the exact GELU: its weights as they are now.</summary>
    internal FeedForwardStep ToStep() => new(expand.ToStep(), contract.ToStep());
}

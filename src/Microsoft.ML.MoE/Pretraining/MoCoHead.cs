// The heads of MoCo v3 (arXiv 2104.02057, section 4 and its released code): linear layers without biases, each followed by batch
// normalisation, and by ReLU but for the last, whose normalisation has neither scale nor shift.
//
// Axes: N = images, I = inputs, H = hidden width, O = outputs.

using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using BatchNorm = Microsoft.ML.MoE.Layers.BatchNorm;

namespace Microsoft.ML.MoE.Pretraining;

/// <summary>A projection head (three layers) or a prediction head (two).</summary>
internal sealed class MoCoHead : nn.Module<Tensor, Tensor>
{
    private readonly ModuleList<Layer> layers = nn.ModuleList<Layer>();
    private readonly ModuleList<BatchNorm> norms = nn.ModuleList<BatchNorm>();

    public MoCoHead(int inputs, int hidden, int outputs, int depth, Device? device = null) : base(nameof(MoCoHead))
    {
        for (var i = 0; i < depth; i++)
        {
            var (from, to) = (i == 0 ? inputs : hidden, i == depth - 1 ? outputs : hidden);
            layers.Add(new Layer(from, to, device));
            norms.Add(new BatchNorm(to, device, affine: i < depth - 1));
        }
        RegisterComponents();
    }

    public override Tensor forward(Tensor x_NI)
    {
        using var scope = NewDisposeScope();
        var x = x_NI;
        for (var i = 0; i < layers.Count; i++)
        {
            x = norms[i].forward(layers[i].forward(x));
            if (i < layers.Count - 1)
                x = x.relu();
        }
        return x.MoveToOuterDisposeScope();   // (N, O)
    }

    // Starts as torch's linear layer does, whose own random numbers would be the process's.
    private sealed class Layer : nn.Module<Tensor, Tensor>, IHasHiddenMatrices
    {
        private readonly Parameter weight;

        public Layer(long inputs, long outputs, Device? device) : base(nameof(Layer))
        {
            var bound = Math.Sqrt(3.0) * (Math.Sqrt(1 / 3.0) / Math.Sqrt(inputs));
            weight = new Parameter(Draws.Uniform(empty([outputs, inputs], float32, device), -bound, bound));
            RegisterComponents();
        }

        public IEnumerable<HiddenMatrices> HiddenMatrices => [new(weight)];

        public override Tensor forward(Tensor x_NI) => nn.functional.linear(x_NI, weight);
    }
}

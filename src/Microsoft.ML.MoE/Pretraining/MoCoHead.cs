// The heads of MoCo v3 (arXiv 2104.02057, section 4 and its released code): linear layers without biases, each followed by batch normalisation, and by ReLU but for the last, whose
// normalisation has neither scale nor shift.
//
// Axes: N = images, I = inputs, H = hidden width, O = outputs.

using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using BatchNorm = Microsoft.ML.MoE.Layers.BatchNorm;

namespace Microsoft.ML.MoE.Pretraining;

/// <summary>A projection head (three layers) or a prediction head (two).</summary>
internal sealed class MoCoHead : nn.Module<Tensor, Tensor>
{
    private readonly ModuleList<Linear> layers = nn.ModuleList<Linear>();
    private readonly ModuleList<BatchNorm> norms = nn.ModuleList<BatchNorm>();

    public MoCoHead(int inputs, int hidden, int outputs, int depth, Device? device = null) : base(nameof(MoCoHead))
    {
        for (var i = 0; i < depth; i++)
        {
            var (from, to) = (i == 0 ? inputs : hidden, i == depth - 1 ? outputs : hidden);
            layers.Add(nn.Linear(from, to, hasBias: false, device));
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
}

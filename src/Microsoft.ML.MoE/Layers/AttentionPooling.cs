// Sequence pooling: a weighted mean of the tokens. Compact Transformers, arXiv 2104.05704, equation 5.
//
//     z = softmax(X·q)ᵀ·X
//
// Axes: N = images, L = tokens of an image, D = model width.

using Microsoft.ML.MoE.Inference;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Makes one vector of the tokens: their mean, each weighted by how it agrees with a learned vector. At the start all weigh the same. (The
/// paper's linear layer has a bias, which softmax takes no notice of.)
/// </summary>
internal sealed class AttentionPooling : nn.Module<Tensor, Tensor>
{
    private readonly Parameter query;

    /// <summary>Makes a pooling.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public AttentionPooling(int width, Device? device = null) : base(nameof(AttentionPooling))
    {
        query = new Parameter(zeros([width], float32, device));
        RegisterComponents();
    }

    /// <summary>Pools.</summary>
    /// <param name="x_NLD">Tokens, float32 (N, L, D).</param>
    /// <returns>float32 (N, D).</returns>
    public override Tensor forward(Tensor x_NLD)
    {
        using var scope = NewDisposeScope();
        var weights_NL = x_NLD.matmul(query).softmax(-1);
        return weights_NL.unsqueeze(1).matmul(x_NLD).squeeze(1).MoveToOuterDisposeScope();   // (N, 1, L)·(N, L, D) -> (N, D)
    }

    /// <summary>The layer in a plan: its weights as they are now.</summary>
    internal AttentionPoolingStep ToStep() => new(query);
}

// A linear head that is mixed into the cosines of a classification. Uni-Perceiver, arXiv 2112.01522, appendix C.
//
//     logits = α · cos(f(x), f(y)) / τ + W·f(x) + b        with α = 1, W = 0 and b = 0 at the start
//
// Axes: N = inputs, C = classes of the head, M = classes that are asked for, D = model width.

using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Adds to the scores of classes what a linear layer reads from the representation of the input. At the start it changes nothing.
/// </summary>
internal sealed class ClassificationHead : nn.Module
{
    private readonly Parameter scale;   // α
    private readonly Dense linear;

    /// <summary>Makes a head.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="classes">Its classes C.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    public ClassificationHead(long width, long classes, Device? device = null) : base(nameof(ClassificationHead))
    {
        scale = new Parameter(ones([1], float32, device));
        linear = new Dense(width, classes, device, zeroInit: true) { HiddenLayers = 0 };
        RegisterComponents();
    }

    /// <summary>Scores of some of the head's classes.</summary>
    /// <param name="scores_NM">Cosines over the temperature, float32 (N, M).</param>
    /// <param name="inputs_ND">Representations of the inputs, float32 (N, D).</param>
    /// <param name="classes">Which of the head's classes each of the M is.</param>
    /// <returns>float32 (N, M).</returns>
    public Tensor Apply(Tensor scores_NM, Tensor inputs_ND, IReadOnlyList<long> classes)
    {
        using var scope = NewDisposeScope();
        var read_NM = linear.forward(inputs_ND).index_select(1, tensor([.. classes], int64, inputs_ND.device));
        return (scale * scores_NM).Plus(read_NM).MoveToOuterDisposeScope();
    }
}

// A text encoder with a linear layer that reads classes from the mean of its last layer over a text's tokens, as in Reimers and Gurevych,
// arXiv 1908.10084, section 3.
//
// Axes: N = texts, L = tokens of the longest text, D = model width, C = classes.

using Microsoft.ML.MoE.Layers;
using TorchSharp;
using static TorchSharp.torch;
using Dropout = Microsoft.ML.MoE.Layers.Dropout;

namespace Microsoft.ML.MoE.Models;

/// <summary>Tells the class of texts, or of pairs of texts.</summary>
internal sealed class TextClassifier : nn.Module<Tensor, Tensor, Tensor?, TextClassifierOutput>
{
    private readonly TextEncoder encoder;
    private readonly Dropout dropout;
    private readonly Dense classes;

    /// <summary>Makes the network with fresh random weights, and a head of zeros.</summary>
    /// <param name="config">The encoder. Its pooler is left out: the mean of the tokens is read.</param>
    /// <param name="classCount">Number of classes C.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the encoder's matrix products.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    public TextClassifier(
        TextEncoderConfig config, int classCount, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(TextClassifier))
    {
        ClassCount = classCount;
        encoder = (config with { Pooler = false }).Build(device, computeType);
        dropout = new Dropout(config.Dropout);
        classes = new Dense(config.Width, classCount, device, zeroInit: true) { HiddenLayers = 0 };
        RegisterComponents();
    }

    /// <summary>The network below the head.</summary>
    public TextEncoder Encoder => encoder;

    /// <summary>Number of classes C.</summary>
    public int ClassCount { get; }

    /// <summary>Parameters of such a network. Allocates none.</summary>
    /// <exception cref="OverflowException">There are more than 64 bits tell.</exception>
    public static long CountParameters(TextEncoderConfig config, int classCount) =>
        checked((config with { Pooler = false }).GetCost().Parameters + (((long)config.Width + 1) * classCount));

    /// <summary>The part that a parameter belongs to. Those of the head have the classes as their first axis.</summary>
    /// <param name="name">Its name in the module, as <c>named_parameters</c> gives it.</param>
    public static ModelParts PartOf(string name) =>
        name.Split('.') switch
        {
            [nameof(encoder), var inner, ..] when TextEncoder.IsEmbedding(inner) => ModelParts.Embedding,
            [nameof(encoder), ..] => ModelParts.Blocks,
            _ => ModelParts.Head,
        };

    /// <summary>Classifies texts.</summary>
    /// <inheritdoc cref="TextEncoder.forward"/>
    public override TextClassifierOutput forward(Tensor ids_NL, Tensor isToken_NL, Tensor? segments_NL)
    {
        using var scope = NewDisposeScope();
        var encoded = encoder.forward(ids_NL, isToken_NL, segments_NL);
        var features_ND = TextEncoder.Mean(encoded.States_NLD, isToken_NL);
        return new TextClassifierOutput(
            classes.forward(dropout.forward(features_ND)), features_ND, encoded.AuxiliaryLoss, encoded.Routing).MoveToOuterDisposeScope();
    }
}

// What every Mixer has around its blocks: patches -> blocks -> LayerNorm -> pooling -> classes. MLP-Mixer, arXiv 2105.01601,
// section 2.
//
// Axes: N = images, C = channels of an image, classes, or channels of a patch (model width), H = height, W = width, S = patches of an
// image, D = model width of a pooled vector.

using System.Globalization;
using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// Base of <see cref="MlpMixer"/> and <see cref="SparseMlp"/>, which differ in their blocks. There is no position embedding: a spatial
/// network knows its patches.
/// </summary>
internal abstract class MixerClassifier : ImageClassifier, IHasLayers
{
    private readonly nn.Module<Tensor, Tensor> patches;   // named so in files, also where convolutions stand in for them
    private readonly LayerNorm finalNorm;
    private readonly AttentionPooling? pooling;
    private readonly Dense classes;
    private readonly MixerClassifierConfig config;
    private readonly ScalarType computeType;

    private protected MixerClassifier(string name, MixerClassifierConfig config, Device? device, ScalarType computeType)
        : base(name, config)
    {
        this.config = config;
        this.computeType = computeType;
        patches = Embedding(config, config.Width, computeType, device);
        finalNorm = new LayerNorm(config.Width, device: device);
        if (config.Pooling == Pooling.Attention)
            pooling = new AttentionPooling(config.Width, device);
        classes = new Dense(config.Width, config.ClassCount, device, zeroInit: true) { HiddenLayers = 0 };
    }

    /// <summary>The final norm and the head; layer 0 embeds the images, and the blocks lie between.</summary>
    public int LastLayer => config.Blocks + 1;

    /// <inheritdoc/>
    public IReadOnlyList<int> LayersOf(string parameterName)
    {
        var path = parameterName.Split('.');
        return path[0] switch
        {
            nameof(patches) => [0],
            nameof(finalNorm) or nameof(pooling) or nameof(classes) => [LastLayer],
            _ => [BlockOf(path[0], int.Parse(path[1], CultureInfo.InvariantCulture)) + 1],
        };
    }

    /// <summary>The position, from 0, of a block of a list of blocks.</summary>
    private protected abstract int BlockOf(string list, int index);

    private protected MixerBlock DenseBlock(int block, ScalarType computeType, Device? device) =>
        new(
            config.Patches,
            config.Width,
            config.SpatialWidth,
            config.ChannelWidth,
            DropPath.ProbabilityOf(config.DropPath, block, config.Blocks),
            computeType,
            device);

    // λ.
    private protected virtual double BalanceLossWeight => 0;

    internal override ModelParts PartOf(string name) => name.Split('.')[0] switch
    {
        nameof(patches) => ModelParts.Embedding,
        nameof(classes) => ModelParts.Head,
        _ => ModelParts.Blocks,
    };

    /// <summary>Classifies a batch.</summary>
    /// <param name="images_NCHW">Normalised images, float32 (N, C, H, W) of the configured size.</param>
    /// <exception cref="ArgumentException">The images have another shape.</exception>
    public override ImageClassifierOutput forward(Tensor images_NCHW)
    {
        CheckImages(images_NCHW);
        using var scope = NewDisposeScope();
        var routing = new List<RoutingRecord>();
        var x_NSC = finalNorm.forward(Encode(patches.forward(images_NCHW), routing));
        var features_ND = pooling is null ? x_NSC.mean([1]) : pooling.forward(x_NSC);
        var logits_NC = classes.forward(features_ND);

        var auxiliary = routing.Count == 0
            ? zeros([], float32, logits_NC.device)
            : stack(routing.Select(record => record.BalanceLoss)).sum().Times(BalanceLossWeight);
        return new ImageClassifierOutput(logits_NC, auxiliary, features_ND, routing).MoveToOuterDisposeScope();
    }

    /// <summary>Runs the blocks.</summary>
    /// <param name="x_NSC">Embedded patches, float32 (N, S, C).</param>
    /// <param name="routing">Receives the record of every routing operation, in order.</param>
    /// <returns>(N, S, C), the caller's dispose scope owns it.</returns>
    private protected abstract Tensor Encode(Tensor x_NSC, List<RoutingRecord> routing);

    /// <inheritdoc/>
    internal override ImageClassifierPlan? CreatePlan() =>
        PlanConditions.Hold(this, computeType)
            ? new MixerPlan(
                config, ((IImageEmbedding)patches).ToStep(), BlockSteps(), finalNorm.ToStep(), pooling?.ToStep(), classes.ToStep())
            : null;

    /// <summary>The blocks in a plan.</summary>
    private protected abstract MixerStep[] BlockSteps();
}

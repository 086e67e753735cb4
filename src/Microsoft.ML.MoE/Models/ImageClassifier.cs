// Axes: N = images, C = channels or classes, H = height, W = width.

using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Models;

/// <summary>A network that maps a batch of images, float32 (N, C, H, W), to class scores.</summary>
public abstract class ImageClassifier : nn.Module<Tensor, ImageClassifierOutput>
{
    private protected ImageClassifier(string name, ImageClassifierConfig config) : base(name)
    {
        config.Validate();
        Config = config;
    }

    /// <summary>The configuration that the network was made from.</summary>
    public ImageClassifierConfig Config { get; }

    /// <summary>The part that a parameter or a buffer belongs to. Those of the head have the classes as their first axis.</summary>
    /// <param name="name">Its name in the module, as <c>named_parameters</c> gives it.</param>
    internal abstract ModelParts PartOf(string name);

    /// <summary>
    /// Takes over the weights of an earlier model of the same architecture (<see cref="ImageClassifierConfig.RequireWeightsOf"/>), which
    /// may have other classes and, where the architecture bears it, images of another size.
    /// </summary>
    /// <param name="earlier">The earlier model, on any device; not changed.</param>
    /// <param name="classes">For each class its number in the earlier model; null to keep this model's own head.</param>
    /// <param name="expertNoise">What the experts of a sparse model that grows out of a dense one differ by at the start, see
    /// <see cref="Upcycling.Grow"/>.</param>
    internal void CopyFrom(ImageClassifier earlier, IReadOnlyList<int>? classes, double expertNoise = 0)
    {
        var theirs = ModuleWeights.Collect(earlier);
        CopyFrom(earlier.Config, name => theirs[name].alias(), classes, expertNoise);
    }

    /// <summary>The same, of weights that are read one after the other.</summary>
    /// <param name="earlier">The configuration that they are of.</param>
    /// <param name="read">Gives a tensor by its name in the earlier model; disposed here.</param>
    /// <param name="classes">For each class its number in the earlier model; null to keep this model's own head.</param>
    /// <param name="expertNoise">What the experts differ by at the start.</param>
    internal void CopyFrom(
        ImageClassifierConfig earlier, Func<string, Tensor> read, IReadOnlyList<int>? classes, double expertNoise = 0)
    {
        using var noGrad = no_grad();
        var grows = Config.GrowsOutOf(earlier);
        foreach (var (name, mine) in ModuleWeights.Collect(this))
        {
            var isHead = PartOf(name) == ModelParts.Head;
            if (isHead && classes is null)
                continue;
            var origin = grows ? OriginOf(name) : new Upcycling(name);
            if (origin.Name is null)
                continue;
            using var scope = NewDisposeScope();
            var value = read(origin.Name);
            if (origin.Experts is not null)
                value = origin.Grow(value, expertNoise);
            else if (!isHead)
                value = Adapt(name, value, earlier);
            else
                value = value.index_select(0, tensor(classes!.Select(number => (long)number).ToArray(), int64, value.device));
            if (!value.shape.AsSpan().SequenceEqual(mine.shape))
                throw new InvalidOperationException(
                    $"Tensor '{name}' is ({string.Join(", ", value.shape)}) in the earlier model and ({string.Join(", ", mine.shape)}) in "
                        + "this one.");
            mine.copy_(value);
        }
    }

    /// <summary>
    /// What <see cref="nn.Module{T, TResult}.forward"/> gives in evaluation, with the weights as they are now and without libtorch; null
    /// where that is not faster or not possible (<see cref="Inference.PlanConditions"/>), or a layer has no step.
    /// </summary>
    internal virtual ImageClassifierPlan? CreatePlan() => null;

    /// <summary>The tensor of a dense model that one of this model begins as, where this grows out of that.</summary>
    private protected virtual Upcycling OriginOf(string name) => new(name);

    /// <summary>A tensor of an earlier model, not of its head, as this model needs it where their images differ in size.</summary>
    private protected virtual Tensor Adapt(string name, Tensor value, ImageClassifierConfig earlier) => value;

    /// <summary>What makes tokens of images: the convolutions of the stem, or the projection of patches.</summary>
    private protected static nn.Module<Tensor, Tensor> Embedding(
        ImageClassifierConfig config, int width, ScalarType computeType, Device? device) =>
        config.Stem is { } stem
            ? new ConvolutionalEmbedding(stem, config.Channels, config.PatchSize, width, computeType, device)
            : new PatchEmbedding(config.Channels, config.PatchSize, width, computeType, device);

    private protected void CheckImages(Tensor images_NCHW) => CheckImages(images_NCHW, Config);

    /// <summary>Checks the shape of a batch of images.</summary>
    /// <exception cref="ArgumentException">It is another than the configured one.</exception>
    internal static void CheckImages(Tensor images_NCHW, ImageClassifierConfig config)
    {
        var shape = images_NCHW.shape;
        if (shape.Length != 4 || shape[1] != config.Channels || shape[2] != config.ImageHeight || shape[3] != config.ImageWidth)
        {
            throw new ArgumentException(
                $"The images have the shape ({string.Join(", ", shape)}); this model takes (N, {config.Channels}, {config.ImageHeight}, "
                    + $"{config.ImageWidth}).",
                nameof(images_NCHW));
        }
    }
}

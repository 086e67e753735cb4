// What every Transformer on image patches has around its blocks: patches + positions -> blocks -> LayerNorm -> pooling -> classes. ViT,
// arXiv 2010.11929, section 3.1.
//
// Axes: N = images, C = channels or classes, H = height, W = width, L = tokens of an image, D = model width.

using System.Globalization;
using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Dropout = Microsoft.ML.MoE.Layers.Dropout;
using LayerNorm = Microsoft.ML.MoE.Layers.LayerNorm;

namespace Microsoft.ML.MoE.Models;

/// <summary>Base of <see cref="VisionTransformer"/> and <see cref="WideNet"/>, which differ in their blocks.</summary>
internal abstract class TransformerClassifier : ImageClassifier, IHasLayers
{
    private readonly nn.Module<Tensor, Tensor> patches;   // named so in files, also where convolutions stand in for them
    private readonly Parameter positions;
    private readonly Parameter? classToken;
    private readonly LayerNorm finalNorm;
    private readonly AttentionPooling? pooling;
    private readonly Dense? representation;
    private readonly Dense classes;
    private readonly Dropout dropout;
    private readonly ModuleList<DropPath> dropPaths = nn.ModuleList<DropPath>();   // one a block
    private readonly TransformerClassifierConfig config;

    private protected TransformerClassifier(string name, TransformerClassifierConfig config, Device? device, ScalarType computeType)
        : base(name, config)
    {
        this.config = config;
        patches = Embedding(config, config.Width, computeType, device);
        positions = new Parameter(StartPositions(config, device));
        if (config.ClassToken == ClassToken.Learned)
            classToken = new Parameter(zeros([1, 1, config.Width], float32, device));
        finalNorm = new LayerNorm(config.Width, device: device);
        if (config.Pooling == Pooling.Attention)
            pooling = new AttentionPooling(config.Width, device);
        if (config.Representation)
            representation = new Dense(config.Width, config.Width, device);
        classes = new Dense(config.Width, config.ClassCount, device, zeroInit: true) { HiddenLayers = 0 };
        dropout = new Dropout(config.Dropout);
        for (var block = 0; block < config.Blocks; block++)
            dropPaths.Add(new DropPath(DropPath.ProbabilityOf(config.DropPath, block, config.Blocks)));
        ComputeType = computeType;
    }

    private protected ScalarType ComputeType { get; }

    /// <summary>The final norm and the head; layer 0 embeds the images, and the blocks lie between.</summary>
    public int LastLayer => config.Blocks + 1;

    /// <inheritdoc/>
    public IReadOnlyList<int> LayersOf(string parameterName)
    {
        var path = parameterName.Split('.');
        return path[0] switch
        {
            nameof(patches) or nameof(positions) or nameof(classToken) => [0],
            nameof(finalNorm) or nameof(pooling) or nameof(representation) or nameof(classes) => [LastLayer],
            _ => [.. BlocksOf(path[0], int.Parse(path[1], CultureInfo.InvariantCulture)).Select(block => block + 1)],
        };
    }

    internal override ModelParts PartOf(string name) => name.Split('.')[0] switch
    {
        nameof(patches) or nameof(positions) or nameof(classToken) => ModelParts.Embedding,
        nameof(classes) => ModelParts.Head,
        _ => ModelParts.Blocks,
    };

    private protected override Tensor Adapt(string name, Tensor value, ImageClassifierConfig earlier) =>
        name == nameof(positions) ? PositionGrid.Resize(value, earlier.Grid, config.Grid) : value;

    /// <summary>Classifies a batch.</summary>
    /// <param name="images_NCHW">Normalised images, float32 (N, C, H, W) of the configured size.</param>
    /// <exception cref="ArgumentException">The images have another shape.</exception>
    public override ImageClassifierOutput forward(Tensor images_NCHW)
    {
        CheckImages(images_NCHW);
        using var scope = NewDisposeScope();
        var routing = new List<RoutingRecord>();
        var x_NLD = Encode(Embed(images_NCHW), routing);
        if (!config.NormAfterPooling)
            x_NLD = finalNorm.forward(x_NLD);

        var features_ND = config.Pooling switch
        {
            Pooling.ClassToken => x_NLD.select(1, 0),
            Pooling.Attention => pooling!.forward(x_NLD),
            _ when config.NormAfterPooling => finalNorm.forward(x_NLD.mean([1])),
            _ => x_NLD.mean([1]),
        };
        if (representation is not null)
            features_ND = representation.forward(features_ND.to_type(ComputeType)).to_type(float32).tanh();
        var logits_NC = classes.forward(features_ND);

        var auxiliary = routing.Count == 0
            ? zeros([], float32, logits_NC.device)
            : stack(routing.Select(record => record.BalanceLoss)).sum().Times(config.BalanceLossWeight);
        return new ImageClassifierOutput(logits_NC, auxiliary, features_ND, routing).MoveToOuterDisposeScope();
    }

    /// <summary>The blocks, from 0, that use a module of a list of modules.</summary>
    private protected abstract IEnumerable<int> BlocksOf(string list, int index);

    /// <summary>Runs the blocks.</summary>
    /// <param name="x_NLD">Embedded tokens, float32 (N, L, D).</param>
    /// <param name="routing">Receives the record of every routing operation, in order.</param>
    /// <returns>(N, L, D), the caller's dispose scope owns it.</returns>
    private protected abstract Tensor Encode(Tensor x_NLD, List<RoutingRecord> routing);

    /// <inheritdoc/>
    internal override ImageClassifierPlan? CreatePlan()
    {
        if (!PlanConditions.Hold(this, ComputeType))
            return null;
        var embedding = ((IImageEmbedding)patches).ToStep();
        var summary = new TransformerPlan.Summary(pooling?.ToStep(), representation?.ToStep());
        return new TransformerPlan(config, embedding, StartOfTokens(), BlockSteps(), finalNorm.ToStep(), summary, classes.ToStep());
    }

    /// <summary>The blocks in a plan.</summary>
    private protected abstract BlockStep[] BlockSteps();

    // Position embedding and class token (L, D).
    private PinnedFloats StartOfTokens()
    {
        using var noGrad = no_grad();
        using var scope = NewDisposeScope();
        var start_LD = positions.detach().squeeze(0).clone();
        if (classToken is not null)
            start_LD.narrow(0, 0, 1).PlusInPlace(classToken.detach().view(1, -1));
        return Numbers.Of(start_LD);
    }

    // libtorch draws a random number for every value even where the probability is 0.
    private Tensor Drop(Tensor x) => config.Dropout > 0 ? dropout.forward(x) : x;

    // What a block adds to its input.
    private protected Tensor Branch(int block, Tensor x_NLD) => config.DropPath > 0 ? dropPaths[block].forward(Drop(x_NLD)) : Drop(x_NLD);

    private static Tensor StartPositions(TransformerClassifierConfig config, Device? device)
    {
        var positions_1LD = empty([1, config.Tokens, config.Width], float32, device);
        if (config.PositionStart == PositionStart.Random)
            return Draws.Normal(positions_1LD, 0, config.PositionDeviation);

        using var scope = NewDisposeScope();
        var waves_LD = PositionWaves
            .Create(config.Grid.Rows, config.Grid.Columns, config.Width)
            .Times(config.PositionDeviation * Math.Sqrt(2));
        positions_1LD.zero_();   // what stands before the patches has no place
        positions_1LD.narrow(1, config.Tokens - waves_LD.shape[0], waves_LD.shape[0]).copy_(waves_LD);
        return positions_1LD;
    }

    private Tensor Embed(Tensor images_NCHW)
    {
        using var scope = NewDisposeScope();
        var x_NLD = patches.forward(images_NCHW);
        if (config.ClassToken != ClassToken.None)
        {
            long[] shape = [images_NCHW.shape[0], 1, config.Width];
            x_NLD = cat([classToken?.expand(shape) ?? zeros(shape, float32, x_NLD.device), x_NLD], 1);
        }
        return Drop(x_NLD.Plus(positions)).MoveToOuterDisposeScope();
    }
}

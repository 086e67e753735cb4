// BERT (arXiv 1810.04805, section 3), ALBERT (arXiv 1909.11942, section 3.1) and the language variant of WideNet (arXiv 2107.11817, section
// 5): a Transformer whose LayerNorms come after its layers.
//
//     x = LN(E_token + E_position + E_segment)·W + b
//     x = LNᵢ(x + MHA(x));   x = LN'ᵢ(x + FFN(x)), or MoE(x)        for every block i
//
// Axes: N = texts, L = tokens of the longest text, T = tokens of all texts, D = model width.

using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Dropout = Microsoft.ML.MoE.Layers.Dropout;
using LayerNorm = Microsoft.ML.MoE.Layers.LayerNorm;

namespace Microsoft.ML.MoE.Models;

/// <summary>Maps texts to a vector for every token, each of which has seen the whole text.</summary>
public sealed class TextEncoder : nn.Module<Tensor, Tensor, Tensor?, TextEncoderOutput>
{
    private readonly ScalarType computeType;
    private readonly TokenEmbedding tokens;
    private readonly TokenEmbedding positions;
    private readonly TokenEmbedding segments;
    private readonly LayerNorm embeddingNorm;
    private readonly Dense? widen;
    private readonly ModuleList<MultiHeadAttention> attentions = nn.ModuleList<MultiHeadAttention>();
    private readonly ModuleList<LayerNorm> attentionNorms = nn.ModuleList<LayerNorm>();
    private readonly ModuleList<FeedForward> feedForwards = nn.ModuleList<FeedForward>();
    private readonly ModuleList<MixtureOfExperts> mixtures = nn.ModuleList<MixtureOfExperts>();
    private readonly ModuleList<LayerNorm> slotNorms = nn.ModuleList<LayerNorm>();
    private readonly Dense? pooler;
    private readonly Dropout dropout;

    internal TextEncoder(TextEncoderConfig config, Device? device, ScalarType computeType) : base(nameof(TextEncoder))
    {
        config.Validate();
        Config = config;
        this.computeType = computeType;
        tokens = new TokenEmbedding(config.VocabularySize, config.EmbeddingWidth, device: device);
        positions = new TokenEmbedding(config.MaxTokens, config.EmbeddingWidth, device: device);
        segments = new TokenEmbedding(config.Segments, config.EmbeddingWidth, device: device);
        embeddingNorm = new LayerNorm(config.EmbeddingWidth, config.NormEpsilon, device);
        if (config.EmbeddingWidth != config.Width)
            widen = new Dense(config.EmbeddingWidth, config.Width, device) { HiddenLayers = 0 };
        for (var i = 0; i < (config.ShareParameters ? 1 : config.Blocks); i++)
        {
            attentions.Add(new MultiHeadAttention(config.Width, config.Heads, device));
            if (config.Experts > 0)
                mixtures.Add(new MixtureOfExperts(config.Width, config.MixtureOptions, computeType, device));
            else
                feedForwards.Add(new FeedForward(config.Width, config.FeedForwardWidth, device, config.Gelu));
        }
        for (var i = 0; i < (config.ShareLayerNorms ? 1 : config.Blocks); i++)
        {
            attentionNorms.Add(new LayerNorm(config.Width, config.NormEpsilon, device));
            slotNorms.Add(new LayerNorm(config.Width, config.NormEpsilon, device));
        }
        if (config.Pooler)
            pooler = new Dense(config.Width, config.Width, device) { HiddenLayers = 0 };
        dropout = new Dropout(config.Dropout);
        RegisterComponents();
    }

    /// <summary>The configuration that the network was made from.</summary>
    public TextEncoderConfig Config { get; }

    /// <summary>Whether a module makes vectors of tokens, which the blocks read.</summary>
    internal static bool IsEmbedding(string name) =>
        name is nameof(tokens) or nameof(positions) or nameof(segments) or nameof(embeddingNorm) or nameof(widen);

    /// <summary>Reads texts.</summary>
    /// <param name="ids_NL">Tokens, int64 (N, L), each from 0 to V − 1, at most <see cref="TextEncoderConfig.MaxTokens"/> a text; any
    /// tokens where a text has ended.</param>
    /// <param name="isToken_NL">bool (N, L): false where a text has ended; at least one true a text. Padding reaches no expert, no loss
    /// and no other token.</param>
    /// <param name="segments_NL">The segment of every token, int64 (N, L); null for the first.</param>
    /// <exception cref="ArgumentException">The shapes differ, or the texts are too long.</exception>
    public override TextEncoderOutput forward(Tensor ids_NL, Tensor isToken_NL, Tensor? segments_NL)
    {
        Check(ids_NL, isToken_NL, segments_NL);
        using var scope = NewDisposeScope();
        using var casts = CastWeights.Once();
        // Mixtures get the tokens alone; where every place has one there is nothing to choose.
        var places_T = Config.Experts == 0 || IsTrue(isToken_NL.all()) ? null : isToken_NL.flatten().nonzero().squeeze(1);
        var seen_N11L = isToken_NL.unsqueeze(1).unsqueeze(1);
        var routing = new List<RoutingRecord>();
        var x_NLD = Embed(ids_NL, segments_NL);
        for (var i = 0; i < Config.Blocks; i++)
        {
            x_NLD = Of(attentionNorms, i).forward(x_NLD.Plus(Attend(i, x_NLD, seen_N11L)));
            x_NLD = Of(slotNorms, i).forward(x_NLD.Plus(Mix(i, x_NLD, places_T, routing)));
        }

        var pooled_ND = pooler?.forward(x_NLD.select(1, 0)).tanh();
        var auxiliary = routing.Count == 0
            ? zeros([], float32, x_NLD.device)
            : stack(routing.Select(record => record.BalanceLoss)).sum().Times(Config.BalanceLossWeight);
        return new TextEncoderOutput(x_NLD, pooled_ND, auxiliary, routing).MoveToOuterDisposeScope();
    }

    /// <summary>The mean of each text's vectors, without those of its padding.</summary>
    /// <param name="states_NLD">Vectors, float32 (N, L, D).</param>
    /// <param name="isToken_NL">bool (N, L).</param>
    /// <returns>float32 (N, D).</returns>
    public static Tensor Mean(Tensor states_NLD, Tensor isToken_NL)
    {
        using var scope = NewDisposeScope();
        var weights_NL1 = isToken_NL.to_type(float32).unsqueeze(-1);
        return states_NLD.multiply(weights_NL1).sum(1).divide(weights_NL1.sum(1)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Takes over the weights of another encoder: of the same architecture, or of a dense one of which this is the mixture
    /// (<see cref="TextEncoderConfig.CanGrowOutOf"/>).
    /// </summary>
    /// <param name="source">The other's configuration.</param>
    /// <param name="read">Gives a tensor of the other by its name.</param>
    /// <param name="expertNoise">What experts that grow out of a dense layer differ by: see <see cref="Upcycling.Grow"/>.</param>
    internal void CopyFrom(TextEncoderConfig source, Func<string, Tensor> read, double expertNoise = 0)
    {
        using var noGrad = no_grad();
        foreach (var (name, mine) in ModuleWeights.Collect(this))
        {
            using var scope = NewDisposeScope();
            var origin = OriginOf(name, source);
            if (origin.Name is null)
                continue;
            var value = read(origin.Name);
            mine.copy_(origin.Experts is null ? value : origin.Grow(value, expertNoise));
        }
    }

    private Upcycling OriginOf(string name, TextEncoderConfig source)
    {
        var path = name.Split('.', 3);
        return path[0] switch
        {
            nameof(attentionNorms) or nameof(slotNorms) when source.ShareLayerNorms => new($"{path[0]}.0.{path[2]}"),
            nameof(mixtures) when source.Experts == 0 =>
                Upcycling.OfMixture($"{nameof(feedForwards)}.{path[1]}", path[2], Config.Experts),
            _ => new(name),
        };
    }

    // LN(E_token + E_position + E_segment)·W + b
    private Tensor Embed(Tensor ids_NL, Tensor? segments_NL)
    {
        var places_1L = TensorNumbers.Range(ids_NL.shape[1], int64, ids_NL.device).unsqueeze(0);
        var x_NLE = tokens.forward(ids_NL)
            .Plus(positions.forward(places_1L))
            .Plus(segments.forward(segments_NL ?? zeros_like(ids_NL)));
        x_NLE = dropout.forward(embeddingNorm.forward(x_NLE));
        return widen is null ? x_NLE : widen.forward(x_NLE.to_type(computeType)).to_type(float32);
    }

    // MHA(x)
    private Tensor Attend(int i, Tensor x_NLD, Tensor seen_N11L) =>
        dropout.forward(Of(attentions, i).forward(x_NLD.to_type(computeType), seen_N11L).to_type(float32));

    // FFN(x), or MoE(x) of the tokens alone
    private Tensor Mix(int i, Tensor x_NLD, Tensor? places_T, List<RoutingRecord> routing)
    {
        if (Config.Experts == 0)
            return dropout.forward(Of(feedForwards, i).forward(x_NLD.to_type(computeType)).to_type(float32));
        var all_SD = x_NLD.flatten(0, 1);   // (N, L, D) -> (S, D), S = places for tokens
        var (output_TD, record) = Of(mixtures, i).forward(places_T is null ? all_SD : all_SD.index_select(0, places_T), 1);
        routing.Add(record);
        var output_SD = places_T is null ? output_TD : zeros_like(all_SD).IndexAddInPlace(0, places_T, output_TD);
        return dropout.forward(output_SD.view(x_NLD.shape));
    }

    private static bool IsTrue(Tensor x) => x.device_type == DeviceType.META || x.to_type(int64).ReadInt64() == 1;

    private static TModule Of<TModule>(ModuleList<TModule> modules, int block) where TModule : nn.Module =>
        modules[Math.Min(block, modules.Count - 1)];

    private void Check(Tensor ids_NL, Tensor isToken_NL, Tensor? segments_NL)
    {
        if (ids_NL.dim() != 2 || ids_NL.shape[1] < 1)
            throw new ArgumentException(
                $"The tokens have the shape ({string.Join(", ", ids_NL.shape)}); (N, L) is wanted.", nameof(ids_NL));
        if (ids_NL.shape[1] > Config.MaxTokens)
            throw new ArgumentException(
                $"The longest text has {ids_NL.shape[1]} tokens; {nameof(Config.MaxTokens)} is {Config.MaxTokens}.", nameof(ids_NL));
        foreach (var (name, tensor) in new[] { (nameof(isToken_NL), isToken_NL), (nameof(segments_NL), segments_NL) })
        {
            if (tensor is not null && !tensor.shape.AsSpan().SequenceEqual(ids_NL.shape))
                throw new ArgumentException(
                    $"The shape ({string.Join(", ", tensor.shape)}) is not that of the tokens ({string.Join(", ", ids_NL.shape)}).", name);
        }
        if (ids_NL.device_type == DeviceType.META)
            return;
        using var scope = NewDisposeScope();
        var (least, most) = (ids_NL.min().ReadInt64(), ids_NL.max().ReadInt64());
        if (least < 0 || most >= Config.VocabularySize)
            throw new ArgumentException(
                $"There is a token {(least < 0 ? least : most)}; they are from 0 to {Config.VocabularySize - 1}.", nameof(ids_NL));
        if (segments_NL is not null && (segments_NL.min().ReadInt64() < 0 || segments_NL.max().ReadInt64() >= Config.Segments))
            throw new ArgumentException($"There is a segment beyond {Config.Segments - 1}.", nameof(segments_NL));
        if (!IsTrue(isToken_NL.any(1, keepdim: false).all()))
            throw new ArgumentException("A text has no token.", nameof(isToken_NL));
    }
}

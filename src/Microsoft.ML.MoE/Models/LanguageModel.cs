// A decoder-only Transformer in whose feed-forward slots a sparse layer may stand: the models that PEER's paper compares (arXiv 2407.04153,
// section 3.1).
//
//     x = x + Attentionᵢ(LNᵢ(x));   x = x + FFNᵢ(LN'ᵢ(x))        logits = LN(x)·W, for the token that follows
//
// Axes: N = sequences, L = tokens of a sequence, V = vocabulary, D = model width, T = N·L.

using Microsoft.ML.MoE.Inference;
using Microsoft.ML.MoE.Layers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Dropout = Microsoft.ML.MoE.Layers.Dropout;
using LayerNorm = Microsoft.ML.MoE.Layers.LayerNorm;

namespace Microsoft.ML.MoE.Models;

/// <summary>
/// A pre-LayerNorm Transformer that predicts each token from those before it. In evaluation a token's scores depend on no other sequence,
/// and on no later token of its own, but where experts choose their tokens (<see cref="ExpertChoiceOptions"/>), or have few places in
/// evaluation and give them by another priority than the order of the tokens (<see cref="MixtureOfExpertsOptions.EvaluationCapacity"/>).
/// </summary>
public sealed class LanguageModel : nn.Module<Tensor, Tensor?, LanguageModelOutput>
{
    private readonly ScalarType computeType;
    private readonly TokenEmbedding tokens;
    private readonly Parameter? positions;
    private readonly RotaryPositions? rotary;
    private readonly ModuleList<LayerNorm> attentionNorms = nn.ModuleList<LayerNorm>();
    private readonly ModuleList<CausalSelfAttention> attentions = nn.ModuleList<CausalSelfAttention>();
    private readonly ModuleList<LayerNorm> feedForwardNorms = nn.ModuleList<LayerNorm>();
    private readonly ModuleList<FeedForwardSlot> feedForwards = nn.ModuleList<FeedForwardSlot>();
    private readonly LayerNorm finalNorm;
    private readonly Dense? scores;
    private readonly Dropout dropout;

    /// <summary>Makes the network with fresh random weights.</summary>
    /// <param name="config">Its shape.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products, float32 (default) or bfloat16.</param>
    /// <exception cref="ArgumentException">The configuration is not valid.</exception>
    /// <exception cref="InvalidOperationException">A sparse layer's tables do not fit into the memory that is available.</exception>
    public LanguageModel(LanguageModelConfig config, Device? device = null, ScalarType computeType = ScalarType.Float32)
        : base(nameof(LanguageModel))
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        Config = config;
        this.computeType = computeType;
        tokens = new TokenEmbedding(config.VocabularySize, config.Width, device: device);
        if (config.Positions == PositionKind.Learned)
            positions = new Parameter(Draws.Normal(empty([config.ContextLength, config.Width], float32, device), 0, 0.02));
        else
            rotary = new RotaryPositions(config.Width / config.Heads, config.ContextLength, device);
        for (var block = 0; block < config.Blocks; block++)
        {
            attentionNorms.Add(new LayerNorm(config.Width, device: device));
            attentions.Add(new CausalSelfAttention(config.Width, config.Heads, device));
            feedForwardNorms.Add(new LayerNorm(config.Width, device: device));
            feedForwards.Add(config.FeedForwardOf(block).Create(config.Width, device, computeType));
        }
        finalNorm = new LayerNorm(config.Width, device: device);
        if (!config.TieEmbeddings)
            scores = new Dense(config.Width, config.VocabularySize, device, zeroInit: true) { HiddenLayers = 0 };
        dropout = new Dropout(config.Dropout);
        RegisterComponents();
    }

    /// <summary>The configuration that the network was made from.</summary>
    public LanguageModelConfig Config { get; }

    /// <summary>The feed-forward layers of the blocks, dense and sparse.</summary>
    internal IReadOnlyList<FeedForwardSlot> FeedForwards => [.. feedForwards];

    /// <summary>Reads whole sequences.</summary>
    /// <param name="ids_NL">Tokens, int64 (N, L), L at most the context length.</param>
    /// <returns>For every position, the scores of the next token.</returns>
    /// <exception cref="ArgumentException">The tokens have another shape or type, are too many, or are not in the vocabulary.</exception>
    public LanguageModelOutput forward(Tensor ids_NL) => forward(ids_NL, null);

    /// <summary>Reads sequences of unequal length.</summary>
    /// <param name="ids_NL">Tokens, int64 (N, L), L at most the context length.</param>
    /// <param name="mask_NL">False for padding, which must come after a sequence's tokens; bool (N, L). Null where every token counts.
    /// Padding enters no statistics of sparse layers.</param>
    /// <inheritdoc cref="forward(Tensor)"/>
    public override LanguageModelOutput forward(Tensor ids_NL, Tensor? mask_NL)
    {
        CheckTokens(ids_NL, Config.ContextLength);
        using var scope = NewDisposeScope();
        var (states_NLD, chosen) = Encode(ids_NL, mask_NL?.flatten(), null);
        var auxiliary = chosen
            .Select(output => output.AuxiliaryLoss)
            .OfType<Tensor>()
            .Aggregate(zeros([], float32, ids_NL.device), (sum, loss) => sum.Plus(loss));
        return new LanguageModelOutput(
            Score(states_NLD),
            states_NLD,
            auxiliary,
            [.. chosen.Select(output => output.Selection).OfType<ExpertSelection>()]
        ).MoveToOuterDisposeScope();
    }

    /// <summary>The last layer alone, normalised, float32 (N, L, D), without the scores that are told from it.</summary>
    /// <inheritdoc cref="forward(Tensor, Tensor?)"/>
    internal Tensor Read(Tensor ids_NL, Tensor? mask_NL)
    {
        CheckTokens(ids_NL, Config.ContextLength);
        using var scope = NewDisposeScope();
        return Encode(ids_NL, mask_NL?.flatten(), null).States_NLD.MoveToOuterDisposeScope();
    }

    /// <summary>An empty memory of some sequences for <see cref="Advance"/>.</summary>
    /// <param name="sequences">How many sequences are read side by side, at least 1.</param>
    /// <returns>The caller's to dispose.</returns>
    internal KeyValueCache CreateCache(int sequences = 1)
    {
        if (sequences < 1)
            throw new ArgumentException($"The number of sequences is {sequences}; it must be at least 1.", nameof(sequences));
        return new(
            Config.Blocks,
            sequences,
            Config.Heads,
            Config.ContextLength,
            Config.Width / Config.Heads,
            computeType,
            parameters().First().device);
    }

    /// <summary>
    /// Reads tokens after those that the cache remembers: the same scores as reading all of them anew, at the cost of the new ones. For
    /// evaluation; carries no gradient.
    /// </summary>
    /// <param name="ids_NL">The new tokens, int64 (N, L).</param>
    /// <param name="cache">What <see cref="CreateCache"/> made; remembers the new tokens too.</param>
    /// <returns>Scores of the token after the last one, float32 (N, V).</returns>
    /// <exception cref="ArgumentException">The tokens have another shape or type, are not in the vocabulary, or are more than the cache has
    /// room for.</exception>
    internal Tensor Advance(Tensor ids_NL, KeyValueCache cache)
    {
        ArgumentNullException.ThrowIfNull(cache);
        CheckTokens(ids_NL, cache.Capacity - cache.Length);
        if (ids_NL.shape[0] != cache.Sequences)
            throw new ArgumentException(
                $"There are tokens of {ids_NL.shape[0]} sequences; the cache is of {cache.Sequences}.", nameof(ids_NL));
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var (states_NLD, _) = Encode(ids_NL, null, cache);
        cache.Advance((int)ids_NL.shape[1]);
        return Score(states_NLD.narrow(1, ids_NL.shape[1] - 1, 1)).squeeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// What the model gives in evaluation, with the weights as they are now and without libtorch; null where that is not faster or not
    /// possible (<see cref="PlanConditions"/>).
    /// </summary>
    /// <param name="owner">What the user holds, for the exception of a disposed plan; this class by default.</param>
    internal LanguageModelPlan? CreatePlan(Type? owner = null)
    {
        if (!PlanConditions.Hold(this, computeType))
            return null;
        var slots = feedForwards.Select(slot => slot.ToStep()).ToArray();
        if (slots.Contains(null))
            return null;
        var turns = rotary?.ToTurns();
        return new LanguageModelPlan(
            Config,
            tokens.ToNumbers(),
            positions is null ? null : Numbers.Of(positions),
            [
                .. slots.Select((slot, i) => new CausalBlockStep(
                    attentionNorms[i].ToStep(), attentions[i].ToStep(turns), feedForwardNorms[i].ToStep(), slot!)),
            ],
            finalNorm.ToStep(),
            scores?.ToStep() ?? tokens.ToScores())
        {
            Owner = owner ?? typeof(LanguageModel),
        };
    }

    // The states, and what the blocks' feed-forward layers returned.
    private (Tensor States_NLD, IReadOnlyList<FeedForwardSlotOutput> Chosen) Encode(Tensor ids_NL, Tensor? mask_T, KeyValueCache? cache)
    {
        var chosen = new List<FeedForwardSlotOutput>();
        var x_NLD = tokens.forward(ids_NL);
        if (positions is not null)
            x_NLD = x_NLD.Plus(positions.narrow(0, cache?.Length ?? 0, ids_NL.shape[1]));
        x_NLD = Drop(x_NLD);
        for (var i = 0; i < attentions.Count; i++)
        {
            x_NLD = x_NLD.Plus(Attend(i, x_NLD, cache));
            x_NLD = x_NLD.Plus(Mix(i, x_NLD, mask_T, chosen));
        }
        return (finalNorm.forward(x_NLD), chosen);
    }

    // Attentionᵢ(LNᵢ(x))
    private Tensor Attend(int i, Tensor x_NLD, KeyValueCache? cache) =>
        Drop(attentions[i].forward(attentionNorms[i].forward(x_NLD).to_type(computeType), rotary, cache, i));

    // FFNᵢ(LN'ᵢ(x))
    private Tensor Mix(int i, Tensor x_NLD, Tensor? mask_T, List<FeedForwardSlotOutput> chosen)
    {
        // (N, L, D) -> (T, D).
        var output = feedForwards[i].forward(feedForwardNorms[i].forward(x_NLD).flatten(0, 1), mask_T, x_NLD.shape[0]);
        chosen.Add(output);
        return Drop(output.Output_TD.view(x_NLD.shape));
    }

    private Tensor Score(Tensor states_NLD)
    {
        var x_NLD = states_NLD.to_type(computeType);
        return (scores?.forward(x_NLD) ?? tokens.Score(x_NLD)).to_type(float32);
    }

    // libtorch draws a random number for every value even where the probability is 0.
    private Tensor Drop(Tensor x) => Config.Dropout > 0 ? dropout.forward(x) : x;

    private void CheckTokens(Tensor ids_NL, int room)
    {
        if (ids_NL.dim() != 2 || ids_NL.dtype != int64 || ids_NL.numel() == 0)
            throw new ArgumentException(
                $"The tokens are {ids_NL.dtype} ({string.Join(", ", ids_NL.shape)}); Int64 (N, L) with at least one token is wanted.",
                nameof(ids_NL));
        if (ids_NL.shape[1] > room)
        {
            var read = room < Config.ContextLength ? $", and {Config.ContextLength - room} have been read" : "";
            throw new ArgumentException(
                $"There are {ids_NL.shape[1]} tokens, and room for {room}: the model's context length is {Config.ContextLength}{read}.",
                nameof(ids_NL));
        }
        if (ids_NL.device_type != DeviceType.CPU)
            return;   // looking at them would wait for the device
        using var scope = NewDisposeScope();
        var (least, most) = (ids_NL.min().ReadInt64(), ids_NL.max().ReadInt64());
        if (least < 0 || most >= Config.VocabularySize)
            throw new ArgumentException(
                $"There are tokens from {least} to {most}; the vocabulary has those from 0 to {Config.VocabularySize - 1}.",
                nameof(ids_NL));
    }
}

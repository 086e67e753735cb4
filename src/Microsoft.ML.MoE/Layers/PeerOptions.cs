using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Options of a <see cref="Peer"/> layer. The defaults are the paper's layer of a million experts; what the paper leaves open (query width,
/// activation) is said where it is.
/// </summary>
public sealed record PeerOptions : FeedForwardSlotOptions
{
    /// <summary>The defaults.</summary>
    public PeerOptions()
    {
    }

    /// <summary>A copy, of which an initializer may change some properties where a language has no <c>with</c>.</summary>
    /// <param name="original">What is copied.</param>
#pragma warning disable CS8618   // all fields are copied
    public PeerOptions(PeerOptions original) : base(original) => DeclaredFields.Copy(original, this);
#pragma warning restore CS8618

    /// <summary>Number of experts N, a perfect square. Default: the paper's 1024².</summary>
    public int Experts { get; init; } = 1024 * 1024;

    /// <summary>Heads h, each of which retrieves experts of its own, at least 1. Default: the paper's 8.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>Experts k that each head retrieves, 1 to √N. Default: the paper's 16.</summary>
    public int ExpertsPerHead { get; init; } = 16;

    /// <summary>
    /// Width d_k of a head's query, even. The paper does not give it; default 128, as in the published notebook of the product-key memory.
    /// </summary>
    public int QueryWidth { get; init; } = 128;

    /// <summary>
    /// Whether queries are normalised over the batch, which spreads the tokens over more experts (the paper's table 2). Default true.
    /// </summary>
    public bool QueryBatchNorm { get; init; } = true;

    /// <summary>
    /// Whether all heads share the sub-keys, as the paper says; false for sub-keys of each head's own, as product-key memories have.
    /// Default true.
    /// </summary>
    public bool SharedSubKeys { get; init; } = true;

    /// <summary>
    /// What the learning rate of the sub-keys is multiplied by, at least 0. Default 1. Keys that move more slowly keep more experts in use,
    /// and their load more even.
    /// </summary>
    public double KeyLearningRateScale { get; init; } = 1;

    /// <summary>How scores become gates. Default: softmax over a head's experts.</summary>
    public GateFunction Gate { get; init; }

    /// <summary>The experts' activation. The paper names ReLU and GELU; default GELU.</summary>
    public NeuronActivation Activation { get; init; }

    /// <summary>Whether an expert is a gated neuron, with a third table. Default false.</summary>
    public bool Gated { get; init; }

    /// <summary>How the tables are stored and trained.</summary>
    public ExpertTableOptions Tables { get; init; } = new();

    internal override ExpertTableOptions? TableOptions => Tables;

    internal ProductKeyOptions Keys =>
        new(Experts, Heads, ExpertsPerHead, QueryWidth, SharedSubKeys) { LearningRateScale = KeyLearningRateScale };

    internal ExpertKind Kind => Gated ? ExpertKind.GatedNeuron : ExpertKind.Neuron;

    /// <inheritdoc/>
    public override FeedForwardSlot Create(int width, Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new Peer(width, this, device);

    /// <inheritdoc/>
    internal override LayerCost GetCost(int width) => ProductKeyCost.Of(width, Keys, QueryBatchNorm, ExpertTables.TableCount(Kind), Tables);

    /// <inheritdoc/>
    internal override void Validate()
    {
        Keys.Validate(nameof(Experts), nameof(ExpertsPerHead), nameof(KeyLearningRateScale));
        OptionChecks.Defined(Gate, nameof(Gate));
        OptionChecks.Defined(Activation, nameof(Activation));
        Tables.Validate();
    }
}

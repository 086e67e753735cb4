using Microsoft.ML.MoE.Experts;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Routing;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// Options of a <see cref="ProductKeyMemory"/>. The defaults are the baseline of PEER's paper (section 3.1 there), with sub-keys of each
/// head's own as in the memory's authors' code.
/// </summary>
public sealed record ProductKeyMemoryOptions : FeedForwardSlotOptions
{
    /// <summary>Number of memories N, a perfect square. Default 1024².</summary>
    public int Memories { get; init; } = 1024 * 1024;

    /// <summary>Heads h, at least 1. Default 8.</summary>
    public int Heads { get; init; } = 8;

    /// <summary>Memories k that each head retrieves, 1 to √N. Default 32.</summary>
    public int MemoriesPerHead { get; init; } = 32;

    /// <summary>Width d_k of a head's query, even. Default 128.</summary>
    public int QueryWidth { get; init; } = 128;

    /// <summary>Whether queries are normalised over the batch. Default true.</summary>
    public bool QueryBatchNorm { get; init; } = true;

    /// <summary>Whether all heads share the sub-keys. Default false.</summary>
    public bool SharedSubKeys { get; init; }

    /// <summary>
    /// What the learning rate of the sub-keys is multiplied by, at least 0. Default 1. Keys that move more slowly keep more memories in
    /// use, and their load more even.
    /// </summary>
    public double KeyLearningRateScale { get; init; } = 1;

    /// <summary>How the table of values is stored and trained.</summary>
    public ExpertTableOptions Tables { get; init; } = new();

    internal override ExpertTableOptions? TableOptions => Tables;

    internal ProductKeyOptions Keys =>
        new(Memories, Heads, MemoriesPerHead, QueryWidth, SharedSubKeys) { LearningRateScale = KeyLearningRateScale };

    /// <inheritdoc/>
    public override FeedForwardSlot Create(int width, Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new ProductKeyMemory(width, this, device);

    /// <inheritdoc/>
    internal override LayerCost GetCost(int width) =>
        ProductKeyCost.Of(width, Keys, QueryBatchNorm, ExpertTables.TableCount(ExpertKind.Value), Tables);

    /// <inheritdoc/>
    internal override void Validate()
    {
        Keys.Validate(nameof(Memories), nameof(MemoriesPerHead), nameof(KeyLearningRateScale));
        Tables.Validate();
    }
}

using System.Text.Json.Serialization;
using Microsoft.ML.MoE.Optimizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Options of a layer for the feed-forward slot of a Transformer block. As JSON, the property <c>layer</c> says which.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "layer")]
[JsonDerivedType(typeof(DenseSlotOptions), "dense")]
[JsonDerivedType(typeof(MixtureSlotOptions), "mixture")]
[JsonDerivedType(typeof(ExpertChoiceOptions), "expertChoice")]
[JsonDerivedType(typeof(ProductKeyMemoryOptions), "productKeyMemory")]
[JsonDerivedType(typeof(PeerOptions), "peer")]
public abstract record FeedForwardSlotOptions
{
    private protected FeedForwardSlotOptions()
    {
    }

    /// <summary>Makes the layer.</summary>
    /// <param name="width">Model width D.</param>
    /// <param name="device">Where the weights lie; CPU by default.</param>
    /// <param name="computeType">Type of the matrix products of dense networks and of experts that are such; routers, queries, keys and
    /// single neurons compute in float32.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="InvalidOperationException">The layer's tables do not fit into the memory that is available.</exception>
    public abstract FeedForwardSlot Create(int width, Device? device = null, ScalarType computeType = ScalarType.Float32);

    /// <summary>What the layer costs.</summary>
    /// <param name="width">Model width D.</param>
    internal abstract LayerCost GetCost(int width);

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal abstract void Validate();

    /// <summary>How the layer's tables of experts are stored and trained; null where it has none.</summary>
    internal virtual ExpertTableOptions? TableOptions => null;
}

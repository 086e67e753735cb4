using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>A dense feed-forward network: <see cref="FeedForward"/>.</summary>
public sealed record DenseSlotOptions : FeedForwardSlotOptions
{
    /// <summary>Hidden width F, at least 1. Default 1024; usually four times the model's width.</summary>
    public int HiddenWidth { get; init; } = 1024;

    /// <inheritdoc/>
    public override FeedForwardSlot Create(int width, Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new DenseSlot(width, this, device, computeType);

    /// <inheritdoc/>
    internal override LayerCost GetCost(int width)
    {
        checked
        {
            var macs = 2L * width * HiddenWidth;
            return new LayerCost(macs + HiddenWidth + width, macs + HiddenWidth + width, macs);
        }
    }

    /// <inheritdoc/>
    internal override void Validate() => OptionChecks.AtLeast(1, HiddenWidth, nameof(HiddenWidth));
}

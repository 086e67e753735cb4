using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Layers;

/// <summary>A mixture of experts whose experts choose: <see cref="ExpertChoiceMixture"/>.</summary>
public sealed record ExpertChoiceOptions : FeedForwardSlotOptions
{
    /// <summary>Number of experts E, at least 1. Default: PEER's baseline, 128.</summary>
    public int Experts { get; init; } = 128;

    /// <summary>Hidden width F of each expert, at least 1. Default 1024; in PEER's baseline that of the dense network.</summary>
    public int ExpertWidth { get; init; } = 1024;

    /// <summary>
    /// Experts that a token gets on average, above 0 and at most E. Default 1, which costs what a dense network of the experts' width
    /// costs; the paper of expert choice uses 2.
    /// </summary>
    public double CapacityFactor { get; init; } = 1;

    /// <summary>Tokens that each expert takes: the capacity factor times tokens over experts, rounded, at least 1.</summary>
    /// <param name="tokens">Tokens T that the experts choose among, at least 1: of the batch while training, of a text in
    /// evaluation.</param>
    public long TokensPerExpert(long tokens) => Math.Clamp((long)Math.Round(CapacityFactor * tokens / Experts), 1, Math.Max(tokens, 1));

    /// <inheritdoc/>
    public override FeedForwardSlot Create(int width, Device? device = null, ScalarType computeType = ScalarType.Float32) =>
        new ExpertChoiceMixture(width, this, device, computeType);

    /// <inheritdoc/>
    internal override LayerCost GetCost(int width)
    {
        checked
        {
            var router = (long)Experts * width;
            var expert = (2L * width * ExpertWidth) + ExpertWidth + width;
            return new LayerCost(
                router + (Experts * expert),
                router + (long)(CapacityFactor * expert),
                router + (long)(CapacityFactor * 2 * width * ExpertWidth));
        }
    }

    /// <inheritdoc/>
    internal override void Validate()
    {
        OptionChecks.AtLeast(1, Experts, nameof(Experts));
        OptionChecks.AtLeast(1, ExpertWidth, nameof(ExpertWidth));
        if (!(CapacityFactor > 0 && CapacityFactor <= Experts))
            throw new ArgumentException(
                $"{nameof(CapacityFactor)} is {CapacityFactor}; it must be above 0 and at most {nameof(Experts)} ({Experts}).");
    }
}

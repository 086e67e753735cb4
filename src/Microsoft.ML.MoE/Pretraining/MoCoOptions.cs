using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Pretraining;

/// <summary>Options of <see cref="MoCo"/>: views, temperature, momentum, heads.</summary>
internal sealed record MoCoOptions
{
    /// <summary>What makes the first view of an image.</summary>
    public required ImageAugmentation FirstView { get; init; }

    /// <summary>What makes the second view.</summary>
    public required ImageAugmentation SecondView { get; init; }

    /// <summary>Temperature τ of the contrastive loss, above 0. Default 0.2 (MoCo v3 with ViT); the Sparse-MLP paper has 1.</summary>
    public double Temperature { get; init; } = 0.2;

    /// <summary>Momentum m of the key encoder at the start, 0 to below 1. It rises to 1 along a cosine. Default 0.99.</summary>
    public double KeyMomentum { get; init; } = 0.99;

    /// <summary>Hidden width of the projection and prediction heads, at least 1. Default 4096.</summary>
    public int HiddenWidth { get; init; } = 4096;

    /// <summary>Width of the vectors that are compared, at least 1. Default 256.</summary>
    public int OutputWidth { get; init; } = 256;

    /// <summary>
    /// Whether the embedding of the patches stays as it was made at random, which keeps the training of large models stable (MoCo v3,
    /// section 4.2). Default false.
    /// </summary>
    public bool FreezePatchEmbedding { get; init; }

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        FirstView.Validate();
        SecondView.Validate();
        OptionChecks.Above(0, Temperature, nameof(Temperature));
        OptionChecks.AtLeastAndBelow(0, 1, KeyMomentum, nameof(KeyMomentum));
        OptionChecks.AtLeast(1, HiddenWidth, nameof(HiddenWidth));
        OptionChecks.AtLeast(1, OutputWidth, nameof(OutputWidth));
    }
}

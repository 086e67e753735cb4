namespace Microsoft.ML.MoE.Augmentation;

/// <summary>What <see cref="RandomErasing"/> puts in the place of pixels.</summary>
internal enum ErasingFill
{
    /// <summary>0, which after normalisation is the mean colour (timm's "const").</summary>
    Mean,

    /// <summary>
    /// A number of the standard normal distribution for every pixel and channel, as the normalised pixels themselves have it (timm's
    /// "pixel").
    /// </summary>
    Noise,
}

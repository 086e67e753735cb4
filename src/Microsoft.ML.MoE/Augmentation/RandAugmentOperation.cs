namespace Microsoft.ML.MoE.Augmentation;

/// <summary>The operations of <see cref="RandAugment"/>, in the paper's order.</summary>
internal enum RandAugmentOperation
{
    Identity,
    AutoContrast,
    Equalize,
    Rotate,
    Solarize,
    Color,
    Posterize,
    Contrast,
    Brightness,
    Sharpness,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
}

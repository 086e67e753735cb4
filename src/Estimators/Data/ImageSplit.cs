namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a classifier is trained and judged on.</summary>
/// <param name="Training">The examples to train on.</param>
/// <param name="Validation">Those to validate on; null where there are none.</param>
/// <param name="Normalization">Measured over the former alone.</param>
/// <param name="Range">Measured over the former alone.</param>
/// <param name="Cropped">
/// The examples to train on, cut out of the pictures at their own size; null where the model's images are cut.
/// </param>
internal sealed record ImageSplit(
    IImageExamples Training, IImageExamples? Validation, PixelNormalization Normalization, PixelRange Range, IImageExamples? Cropped);

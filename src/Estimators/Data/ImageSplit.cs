namespace Microsoft.ML.MoE.Estimators;

/// <summary>What a classifier is trained and judged on.</summary>
/// <param name="Training">The examples to train on.</param>
/// <param name="Validation">Those to validate on; null where there are none.</param>
/// <param name="Normalization">Measured over the former alone.</param>
/// <param name="Range">Measured over the former alone.</param>
internal sealed record ImageSplit(IImageExamples Training, IImageExamples? Validation, PixelNormalization Normalization, PixelRange Range)
{
    /// <summary>The classes of the examples to train on, in their own order.</summary>
    public required IReadOnlyList<int> Labels { get; init; }

    /// <summary>What the data say that those weigh, in the same order; null where they say nothing.</summary>
    public IReadOnlyList<float>? Weights { get; init; }

    /// <summary>
    /// The examples to train on, cut out of the pictures at their own size; null where the model's images are cut.
    /// </summary>
    public IImageExamples? Cropped { get; init; }
}

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What models with a stem are trained with on up to some hundred thousand images, from random weights: found on images that were held out
/// of Fashion-MNIST's training set (samples/FashionMnist/results).
/// </summary>
internal static class SmallDataRecipe
{
    private const int FewestEpochs = 12;
    private const int MostEpochs = 100;
    private const int MostImagesSeen = 1_500_000;
    private const int ImagesOfFewestEpochs = 20_000;

    private const int UsualBatch = 100;
    private const int SmallestBatch = 20;
    private const int FewestUpdatesAnEpoch = 20;

    /// <summary>Learning rate of what Muon leaves to AdamW.</summary>
    public const double LearningRate = 3e-3;

    /// <summary>Part of the target that all classes share.</summary>
    public const double LabelSmoothing = 0.05;

    /// <summary>
    /// Passes over the images: 12 of 20,000; of fewer as many more as their root is smaller, at most 100, so that there are updates; of
    /// more as many more as their root is larger, as long as not more than 1.5 million images are seen in all, and never fewer than 12: it
    /// takes longer before the model overfits them.
    /// </summary>
    public static int Epochs(int images)
    {
        var ratio = (double)Math.Max(1, images) / ImagesOfFewestEpochs;
        return ratio < 1
            ? (int)Math.Min(FewestEpochs / Math.Sqrt(ratio), MostEpochs)
            : (int)Math.Min(FewestEpochs * Math.Sqrt(ratio), Math.Max(FewestEpochs, MostImagesSeen / images));
    }

    /// <summary>Images of a batch: 100, of few images fewer, so that there are updates.</summary>
    public static int BatchSize(int images) => Math.Clamp(images / FewestUpdatesAnEpoch, SmallestBatch, UsualBatch);

    /// <summary>Pixels by which images are shifted: a fourteenth of their side, 2 of 28.</summary>
    public static int Shift(ImageShape shape) => Math.Min(shape.Height, shape.Width) / 14;
}

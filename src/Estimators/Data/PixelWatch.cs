namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Looks at the first images that a model scores, and says once if their pixels are far from what it was trained on: 0 to 1, say, where
/// they were 0 to 255. The scores would be as good as random without a word.
/// </summary>
/// <param name="normalization">Of the training data.</param>
internal sealed class PixelWatch(PixelNormalization normalization)
{
    /// <summary>Images that are looked at: one alone may well be black.</summary>
    public const int Images = 16;

    private readonly Lock gate = new();
    private PixelStatistics? statistics;
    private string? warning;
    private volatile int seen;

    /// <summary>Looks at an image.</summary>
    /// <param name="image">An image as <see cref="ImageReader"/> writes it.</param>
    /// <param name="column">Its column.</param>
    public void Add(ReadOnlySpan<byte> image, ImageColumn column)
    {
        if (seen >= Images)
            return;
        lock (gate)
        {
            if (seen >= Images)
                return;
            statistics ??= new PixelStatistics(column);
            statistics.Add(image);
            if (seen + 1 == Images)
            {
                warning = normalization.OtherPixels(statistics.ToNormalization(), $"of the first {Images} images to score", "the model");
                statistics = null;
            }
            seen++;
        }
    }

    /// <summary>What there is to say, to the first who asks; null for nothing.</summary>
    public string? TakeWarning() => seen < Images ? null : Interlocked.Exchange(ref warning, null);
}

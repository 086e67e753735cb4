using Microsoft.ML.MoE.Augmentation;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Which numbers of a column stand for black and for white: 0 and 255 for bytes and pictures, and of other numbers the smallest and the
/// greatest of the training data.
/// </summary>
/// <param name="Black">The number of black.</param>
/// <param name="White">The number of white; the same where the training data have one number only.</param>
internal readonly record struct PixelRange(float Black, float White)
{
    /// <summary>How normalised images are made of pixels from 0, black, to 1, white.</summary>
    /// <param name="normalization">How they are made of the column's numbers.</param>
    public PixelScale ToScale(PixelNormalization normalization)
    {
        var (black, range) = (Black, White > Black ? White - Black : 1);
        return new(
            Array.ConvertAll(normalization.Mean, mean => (mean - black) / range),
            Array.ConvertAll(normalization.StandardDeviation, deviation => deviation / range));
    }
}

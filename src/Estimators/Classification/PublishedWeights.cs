using Microsoft.ML.MoE.Interchange;
using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A network that another library trained (<see cref="ImageClassificationOptions.PretrainedWeights"/>).</summary>
/// <param name="weights">Its weights.</param>
internal sealed class PublishedWeights(PretrainedWeights weights) : StartingPoint
{
    // Of pixels from 0 to 1; resizing may overshoot a little. Above, they are from 0 to 255.
    private const float LargestUnit = 1.5f;

    /// <inheritdoc/>
    public override ImageClassifierConfig Config => weights.RequireImageClassifier(Option);

    /// <inheritdoc/>
    public override string Option => nameof(ImageClassificationOptions.PretrainedWeights);

    private protected override string Description => $"the weights in '{weights.Folder}'";

    /// <inheritdoc/>
    public override PixelNormalization? NormalizationFor(PixelRange pixels)
    {
        // Numbers below 0 have been normalised by somebody, who alone knows how.
        if (weights.Pixels is not var (mean, deviation) || pixels.Black < 0)
            return null;
        var white = pixels.White > LargestUnit ? byte.MaxValue : 1;
        return new(Array.ConvertAll(mean, x => x * white), Array.ConvertAll(deviation, x => x * white));
    }

    private protected override void Copy(ImageClassifier model, int[]? classes, double expertNoise) =>
        weights.CopyTo(model, withHead: false, expertNoise);

    // Files of weights do not name the classes, and two networks with as many classes seldom have the same.
    private protected override int[]? MatchClasses(LabelColumn labels, out string difference)
    {
        difference = "published weights do not name their classes";
        return null;
    }
}

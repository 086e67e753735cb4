namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What the loss of a training example is multiplied by: what its row says, times what its class weighs, divided by the mean over all
/// training examples, so that the learning rate means what it does without weights.
/// </summary>
internal sealed class LossWeights
{
    private readonly double[] ofClass;

    private LossWeights(double[] ofClass) => this.ofClass = ofClass;

    /// <summary>Makes the weights.</summary>
    /// <param name="options">What was asked for.</param>
    /// <param name="column">The label column.</param>
    /// <param name="split">The training examples.</param>
    /// <returns>Null where all weigh alike.</returns>
    /// <exception cref="ArgumentException">A class that was given a weight does not exist.</exception>
    /// <exception cref="InvalidOperationException">All training examples weigh 0.</exception>
    public static LossWeights? Create(ImageClassificationOptions options, LabelColumn column, ImageSplit split)
    {
        if (split.Weights is null && options.ClassWeights is null && options.ClassBalancing != ClassBalancing.Weights)
            return null;

        var ofClass = Given(options.ClassWeights, column);
        if (options.ClassBalancing == ClassBalancing.Weights)
        {
            foreach (var (label, count) in split.Labels.CountBy(label => label))
                ofClass[label] /= count;
        }
        // With sampling every class comes as often as any other, so that the mean is one over what is trained on.
        var counts = split.Labels.CountBy(label => label).ToDictionary();
        double Comes(int label) =>
            options.ClassBalancing == ClassBalancing.Sampling ? (double)split.Labels.Count / (counts.Count * counts[label]) : 1;
        var sum = split.Labels.Select((label, i) => Comes(label) * ofClass[label] * (split.Weights?[i] ?? 1)).Sum();
        if (!(sum > 0))
        {
            throw new InvalidOperationException(
                $"All {split.Labels.Count:n0} images to train on have the weight 0"
                    + (options.ExampleWeightColumnName is { } name ? $", by column '{name}'" : "")
                    + (options.ClassWeights is null ? "" : $", by {nameof(options.ClassWeights)}")
                    + "; at least one above 0 is wanted.");
        }
        return new(Array.ConvertAll(ofClass, weight => weight * split.Labels.Count / sum));
    }

    /// <summary>The weight of an example.</summary>
    public float Of(ImageExample example) => (float)(ofClass[example.Label] * example.Weight);

    private static double[] Given(IReadOnlyDictionary<string, double>? given, LabelColumn column)
    {
        var weights = Enumerable.Repeat(1.0, column.ClassCount).ToArray();
        var names = column.Names;
        foreach (var (name, weight) in given ?? new Dictionary<string, double>())
        {
            var found = false;
            for (var label = 0; label < names.Count; label++)
            {
                if (names[label] == name)
                    (weights[label], found) = (weight, true);
            }
            if (!found)
                throw new ArgumentException(
                    $"{nameof(ImageClassificationOptions.ClassWeights)} has '{name}', which is none of the {names.Count} classes of column "
                        + $"'{column.Name}': {string.Join(", ", names.Take(10).Select(known => $"'{known}'"))}"
                        + $"{(names.Count > 10 ? ", …" : "")}.");
        }
        return weights;
    }
}

using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>A model that was trained before, to go on from (<see cref="ImageClassificationOptions.InitialModel"/>).</summary>
internal sealed class EarlierModel : StartingPoint
{
    private const string OptionName = nameof(ImageClassificationOptions.InitialModel);

    private readonly ImageClassificationTransformer transformer;

    private EarlierModel(ImageClassificationTransformer transformer) => this.transformer = transformer;

    /// <inheritdoc/>
    public override ImageClassifierConfig Config => transformer.Scorer.Model.Config;

    /// <inheritdoc/>
    public override string Option => OptionName;

    /// <inheritdoc/>
    public override IReadOnlyList<ImageClassificationSummary> Trainings =>
        transformer.Training is { } last ? [.. last.Earlier, last with { Earlier = [] }] : [];

    private protected override string Description => "an earlier model";

    /// <summary>Finds the image classifier in a model.</summary>
    /// <param name="model">An image classifier, or a chain of transformers with one in it.</param>
    /// <exception cref="ArgumentException">There is none, or there are several.</exception>
    public static EarlierModel Find(ITransformer model) =>
        Classifiers(model).ToArray() switch
        {
            [var one] => new(one),
            [] => throw new ArgumentException(
                $"{OptionName} is a {model.GetType().Name} with no image classifier in it; it must be an "
                    + $"{nameof(ImageClassificationTransformer)}, or a pipeline with one in it."),
            var several => throw new ArgumentException(
                $"{OptionName} has {several.Length} image classifiers in it; it must have one: give the "
                    + $"{nameof(ImageClassificationTransformer)} itself."),
        };

    /// <inheritdoc/>
    public override void RequireAlive() => transformer.Scorer.Use(_ => { });

    /// <inheritdoc/>
    public override PixelNormalization NormalizationFor(PixelRange pixels) => transformer.Scorer.Normalization;

    private protected override void Copy(ImageClassifier model, int[]? classes, double expertNoise) =>
        transformer.Scorer.Use(earlier => model.CopyFrom(earlier, classes, expertNoise));

    private protected override int[]? MatchClasses(LabelColumn labels, out string difference)
    {
        difference = "";
        var positions = labels.PositionsIn(transformer.LabelValues, Config.ClassCount);
        if (labels.ClassCount != Config.ClassCount)
            difference = $"the training data have {labels.ClassCount} classes and the earlier model {Config.ClassCount}";
        else if (positions is null)
            difference = $"only {(labels.Values is null ? "the earlier model" : $"column '{labels.Name}'")} has names for its classes";
        else if (Array.IndexOf(positions, -1) is >= 0 and var unknown)
            difference = $"the earlier model does not have the class '{labels.Values!.ToTexts()[unknown]}'";
        else if (positions.Distinct().Count() != positions.Length)
            difference = "classes of the training data have the same name";
        return difference.Length == 0 ? positions : null;
    }

    private static IEnumerable<ImageClassificationTransformer> Classifiers(ITransformer model) => model switch
    {
        ImageClassificationTransformer classifier => [classifier],
        IEnumerable<ITransformer> chain => chain.SelectMany(Classifiers),
        _ => [],
    };
}

using System.Globalization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The model that a training starts from (<see cref="ImageClassificationOptions.InitialModel"/>).</summary>
internal sealed class StartingPoint
{
    private const string Option = nameof(ImageClassificationOptions.InitialModel);

    private readonly ImageClassificationTransformer transformer;

    private StartingPoint(ImageClassificationTransformer transformer) => this.transformer = transformer;

    /// <summary>Its configuration.</summary>
    public ImageClassifierConfig Config => transformer.Scorer.Model.Config;

    /// <summary>The shape of its images.</summary>
    public ImageShape Shape => new(Config.Channels, Config.ImageHeight, Config.ImageWidth);

    /// <summary>The normalisation in front of it.</summary>
    public PixelNormalization Normalization => transformer.Scorer.Normalization;

    /// <summary>The trainings that made it, as far as they are known.</summary>
    public IReadOnlyList<ImageClassificationSummary> Trainings =>
        transformer.Training is { } last ? [.. last.Earlier, last with { Earlier = [] }] : [];

    /// <summary>Finds the image classifier in a model.</summary>
    /// <param name="model">An image classifier, or a chain of transformers with one in it.</param>
    /// <exception cref="ArgumentException">There is none, or there are several.</exception>
    public static StartingPoint Find(ITransformer model) =>
        Classifiers(model).ToArray() switch
        {
            [var one] => new(one),
            [] => throw new ArgumentException(
                $"{Option} is a {model.GetType().Name} with no image classifier in it; it must be an "
                    + $"{nameof(ImageClassificationTransformer)}, or a pipeline with one in it."),
            var several => throw new ArgumentException(
                $"{Option} has {several.Length} image classifiers in it; it must have one: give the "
                    + $"{nameof(ImageClassificationTransformer)} itself."),
        };

    /// <summary>Checks that the model has not been disposed.</summary>
    /// <exception cref="ObjectDisposedException">It has.</exception>
    public void RequireAlive() => transformer.Scorer.Use(_ => { });

    /// <summary>Copies the weights into a new model, and says what became of them.</summary>
    /// <param name="model">The new model, of a configuration that fits.</param>
    /// <param name="labels">Its classes.</param>
    /// <param name="measured">The normalisation that the training data would have got.</param>
    /// <param name="options">The options of the training.</param>
    /// <param name="channel">Receives what there is to say.</param>
    /// <exception cref="InvalidOperationException">The head is to stay as it is, but the classes are others.</exception>
    public void CopyTo(
        ImageClassifier model, LabelColumn labels, PixelNormalization measured, ImageClassificationOptions options, IChannel channel)
    {
        var classes = MatchClasses(labels, out var difference);
        if (classes is null && options.Frozen.HasFlag(ModelParts.Head))
        {
            throw new InvalidOperationException(
                $"{nameof(options.Frozen)} is {options.Frozen}, but {difference}, so that the head starts anew and has to learn: leave "
                    + $"{nameof(ModelParts.Head)} out.");
        }
        transformer.Scorer.Use(earlier => model.CopyFrom(earlier, classes));

        var shape = new ImageShape(model.Config.Channels, model.Config.ImageHeight, model.Config.ImageWidth);
        channel.Info(
            MessageSensitivity.None,
            string.Create(
                CultureInfo.InvariantCulture,
                $"Starting from an earlier model of {Shape}{(shape == Shape ? "" : ", its positions interpolated")}; the head "
                    + $"{(classes is null ? $"starts anew: {difference}" : "goes on, with the same classes")}; "
                    + $"frozen: {options.Frozen}."));
        Normalization.WarnOfOtherPixels(measured, Option, channel);
    }

    // For each class of the labels its number in the earlier model; null where the classes are not the same.
    private int[]? MatchClasses(LabelColumn labels, out string difference)
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

using System.Globalization;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What a training starts from: <see cref="ImageClassificationOptions.InitialModel"/> or
/// <see cref="ImageClassificationOptions.PretrainedWeights"/>.
/// </summary>
internal abstract class StartingPoint
{
    /// <summary>Its configuration.</summary>
    public abstract ImageClassifierConfig Config { get; }

    /// <summary>The option that gives it.</summary>
    public abstract string Option { get; }

    /// <summary>The shape of its images.</summary>
    public ImageShape Shape => new(Config.Channels, Config.ImageHeight, Config.ImageWidth);

    /// <summary>The trainings that made it, as far as they are known.</summary>
    public virtual IReadOnlyList<ImageClassificationSummary> Trainings => [];

    /// <summary>Checks that it has not been disposed.</summary>
    /// <exception cref="ObjectDisposedException">It has.</exception>
    public virtual void RequireAlive()
    {
    }

    /// <summary>The normalisation in front of it, for the numbers of a column; null where it is not known.</summary>
    /// <param name="pixels">What stands for black and white in the column.</param>
    public abstract PixelNormalization? NormalizationFor(PixelRange pixels);

    /// <summary>Copies the weights into a new model, and says what became of them.</summary>
    /// <param name="model">The new model, of a configuration that fits.</param>
    /// <param name="labels">Its classes.</param>
    /// <param name="images">The images that it is trained on: the normalisation that they would have got, and that they get.</param>
    /// <param name="options">The options of the training.</param>
    /// <param name="channel">Receives what there is to say.</param>
    /// <exception cref="InvalidOperationException">The head is to stay as it is, but the classes are others.</exception>
    public void CopyTo(
        ImageClassifier model,
        LabelColumn labels,
        (PixelNormalization Measured, PixelNormalization Used) images,
        ImageClassificationOptions options,
        IChannel channel)
    {
        var classes = MatchClasses(labels, out var difference);
        if (classes is null && options.Frozen.HasFlag(ModelParts.Head))
        {
            throw new InvalidOperationException(
                $"{nameof(options.Frozen)} is {options.Frozen}, but {difference}, so that the head starts anew and has to learn: leave "
                    + $"{nameof(ModelParts.Head)} out.");
        }
        Copy(model, classes, options.ExpertNoise);

        var shape = new ImageShape(model.Config.Channels, model.Config.ImageHeight, model.Config.ImageWidth);
        channel.Info(
            MessageSensitivity.None,
            string.Create(
                CultureInfo.InvariantCulture,
                $"Starting from {Description} of {Shape}{(shape == Shape ? "" : ", its positions interpolated")}; "
                    + $"{(model.Config.GrowsOutOf(Config) ? "every expert begins as the dense layer in its place; " : "")}the head "
                    + $"{(classes is null ? $"starts anew: {difference}" : "goes on, with the same classes")}; "
                    + $"frozen: {options.Frozen}."));
        images.Used.WarnOfOtherPixels(images.Measured, Option, channel);
    }

    private protected abstract string Description { get; }

    private protected abstract void Copy(ImageClassifier model, int[]? classes, double expertNoise);

    /// <summary>For each class of the labels its number in the earlier model; null where the classes are not the same.</summary>
    private protected abstract int[]? MatchClasses(LabelColumn labels, out string difference);
}

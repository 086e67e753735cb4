// What an image classifier is trained for, cross-entropy with smoothed labels (arXiv 1512.00567, section 7) plus the model's auxiliary
// loss, and what it is judged by.
//
// Axes: N = images, C = channels or classes, H = height, W = width.

using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.MoE.Models;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Objectives;

/// <summary>Loss and evaluation of an image classifier, for <see cref="TrainingLoop{TBatch}"/> of <see cref="ImageBatch"/>.</summary>
internal sealed class ImageClassificationObjective
{
    private readonly ImageClassifier model;
    private readonly ImageAugmentation augmentation;
    private readonly ImageMixing mixing;
    private readonly double labelSmoothing;
    private readonly Generator generator;
    private readonly ScoringViews views;

    /// <summary>Makes an objective.</summary>
    /// <param name="model">The model, all on one device.</param>
    /// <param name="augmentation">What happens to training images.</param>
    /// <param name="labelSmoothing">The part of the target that is spread evenly over all classes, 0 to below 1.</param>
    /// <param name="generator">Random numbers for the augmentation: a generator of the CPU, which stays the caller's.</param>
    /// <param name="mixing">How training images are mixed with one another, with targets to match; null for
    /// <see cref="ImageMixing.None"/>.</param>
    /// <param name="views">The views of an image that are judged together.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public ImageClassificationObjective(
        ImageClassifier model, ImageAugmentation augmentation, double labelSmoothing, Generator generator, ImageMixing? mixing = null,
        ScoringViews views = ScoringViews.One)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(augmentation);
        ArgumentNullException.ThrowIfNull(generator);
        augmentation.Validate();
        mixing ??= ImageMixing.None;
        mixing.Validate();
        OptionChecks.AtLeastAndBelow(0, 1, labelSmoothing, nameof(labelSmoothing));
        this.model = model;
        this.augmentation = augmentation;
        this.mixing = mixing;
        this.labelSmoothing = labelSmoothing;
        this.generator = generator;
        this.views = views;
    }

    private Device ModelDevice => model.parameters().First().device;

    /// <summary>The loss of a training batch: augmentation, mixing, model, cross-entropy, auxiliary loss.</summary>
    /// <param name="batch">The batch, on any device; not disposed.</param>
    /// <returns>The loss; its tensors belong to the caller's dispose scope.</returns>
    public StepLoss ComputeLoss(ImageBatch batch)
    {
        using var scope = NewDisposeScope();
        var device = ModelDevice;
        var images_NCHW = augmentation.Apply(batch.Images_NCHW.to(device), generator, batch.Mirrored_N);
        var targets = batch.Labels_N.to(device);   // classes, (N), or the part of each class, (N, C)
        var weights_N = batch.Weights_N?.to(device);
        if (mixing.IsOn)
            (images_NCHW, targets) = mixing.Apply(images_NCHW, targets, model.Config.ClassCount, generator, weights_N);
        else if (weights_N is not null)
            targets = nn.functional.one_hot(targets, model.Config.ClassCount) * weights_N.unsqueeze(1);
        var output = model.call(images_NCHW);
        var main = weights_N is null
            ? nn.functional.cross_entropy(output.Logits_NC, targets, label_smoothing: labelSmoothing)
            : WeightedCrossEntropy(output.Logits_NC, targets);
        return new StepLoss(
            main.MoveToOuterDisposeScope(), output.AuxiliaryLoss.MoveToOuterDisposeScope(), batch.Count,
            output.Routing.Count == 0 ? null : [.. output.Routing.Select(record => record.ExpertCounts_E.MoveToOuterDisposeScope())],
            output.Routing.Count == 0 ? null : stack(output.Routing.Select(record => record.DroppedCount)).MoveToOuterDisposeScope());
    }

    // Targets whose sum is not 1 but the weight of the image; the mean is over the images and not over their weights, which are 1 in the
    // mean over all training images.
    private Tensor WeightedCrossEntropy(Tensor logits_NC, Tensor targets_NC)
    {
        using var scope = NewDisposeScope();
        var even_N1 = targets_NC.sum(1, keepdim: true).Times(labelSmoothing / logits_NC.shape[1]);
        var smooth_NC = targets_NC.Times(1 - labelSmoothing).Plus(even_N1);
        return (smooth_NC * logits_NC.log_softmax(1)).sum(1).mean().negative().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Accuracy and mean log-loss (natural logarithm, labels not smoothed, auxiliary loss left out) over all batches, in evaluation mode.
    /// The model gets its mode back.
    /// </summary>
    /// <param name="batches">All images to judge by; each batch is disposed.</param>
    /// <param name="cancellationToken">Stops between two batches.</param>
    /// <exception cref="InvalidOperationException">There is no batch.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public ValidationResult Evaluate(IEnumerable<ImageBatch> batches, CancellationToken cancellationToken = default)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        bool wasTraining = model.training;
        model.eval();
        try
        {
            var device = ModelDevice;
            var plan = views == ScoringViews.One ? model.CreatePlan() : null;   // of the weights as they are in this validation
            Tensor correct = zeros([], int64, device), logLoss = zeros([], float64, device);
            long count = 0;
            foreach (var batch in batches)
            {
                using var owned = batch;
                cancellationToken.ThrowIfCancellationRequested();
                using var batchScope = NewDisposeScope();
                var labels_N = batch.Labels_N.to(device);
                var images_NCHW = batch.Images_NCHW.to(device);
                var logits_NC = plan?.Score(images_NCHW) ?? views.Average(model, images_NCHW).Logits_NC;
                correct.PlusInPlace(logits_NC.argmax(1).eq(labels_N).sum());
                logLoss.PlusInPlace(nn.functional.cross_entropy(logits_NC, labels_N, reduction: nn.Reduction.Sum));
                count += batch.Count;
            }

            if (count == 0)
                throw new InvalidOperationException("The validation data has no rows: at least one is wanted.");
            return new ValidationResult(
                correct.item<long>() / (double)count, logLoss.item<double>() / count, "Accuracy", HigherIsBetter: true);
        }
        finally
        {
            model.train(wasTraining);
        }
    }
}

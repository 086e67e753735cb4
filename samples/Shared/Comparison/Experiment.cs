namespace Samples.Comparison;

/// <summary>Models that differ in one thing, trained alike.</summary>
/// <param name="Name">Its name on the command line.</param>
/// <param name="Title">What is compared.</param>
/// <param name="Paper">What the paper found, with its figures.</param>
/// <param name="TrainingImages">Images that each model is trained on.</param>
/// <param name="Epochs">Passes over them.</param>
/// <param name="Variants">The models; the others' differences are to the first.</param>
internal sealed record Experiment(string Name, string Title, string Paper, int TrainingImages, int Epochs, IReadOnlyList<Variant> Variants)
{
    /// <summary>Training images at the end of the set that choose the best epoch; 0 to keep the last epoch's weights.</summary>
    public int HeldOutImages { get; init; } = 2000;

    /// <summary>Highest learning rate.</summary>
    public double LearningRate { get; init; } = 3e-3;

    /// <summary>
    /// Whether the models are trained as is chosen for the data: optimizer, rates, batches, shifts, smoothing; flips alternate by epoch.
    /// <see cref="LearningRate"/> has no effect then.
    /// </summary>
    public bool ByRecipe { get; init; }

    /// <summary>
    /// Images after those of the training, whose labels are not looked at: <see cref="Variant.Pretrained"/> models see them first.
    /// </summary>
    public int UnlabelledImages { get; init; }

    /// <summary>Passes over the images without labels.</summary>
    public int PretrainingEpochs { get; init; } = 1;

    /// <summary>Smallest part of an image that a view of the pre-training shows.</summary>
    public double PretrainingCropScale { get; init; } = 0.2;
}

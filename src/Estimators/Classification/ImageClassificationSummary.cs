using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a classifier was trained.</summary>
/// <param name="Training">Losses and validation by epoch, and why training ended.</param>
/// <param name="TrainingImages">Images it was trained on.</param>
/// <param name="ValidationImages">Images it was validated on after every epoch; 0 for none.</param>
/// <param name="MissingLabels">Rows of both sets that were left out because they have no label.</param>
/// <param name="UnreadableImages">Rows of both sets that were left out because their image is missing or cannot be read.</param>
/// <param name="CachedInMemory">Whether the decoded training images fitted in memory, or were read anew each epoch.</param>
/// <param name="Seed">The seed that repeats the training, with the same data, machine and number of threads.</param>
public sealed record ImageClassificationSummary(
    TrainingResult Training,
    int TrainingImages,
    int ValidationImages,
    long MissingLabels,
    long UnreadableImages,
    bool CachedInMemory,
    int Seed
) : TrainingSummary
{
    /// <summary>
    /// The trainings that the model had gone through before, where it started from an earlier one
    /// (<see cref="ImageClassificationOptions.InitialModel"/>), the first of them first; themselves without earlier ones.
    /// </summary>
    public IReadOnlyList<ImageClassificationSummary> Earlier { get; init; } = [];
}

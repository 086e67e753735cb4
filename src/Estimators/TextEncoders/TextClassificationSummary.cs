using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a classifier of texts was trained.</summary>
/// <param name="Training">Losses and validation by epoch, and why training ended.</param>
/// <param name="TrainingTexts">Texts, or pairs, that it was trained on.</param>
/// <param name="ValidationTexts">Those that it was validated on after every epoch; 0 for none.</param>
/// <param name="MissingLabels">Rows of both sets that were left out because they have no label.</param>
/// <param name="EmptyTexts">Rows of both sets that were left out because a text is missing or empty.</param>
/// <param name="CutTexts">Rows of both sets of which the end was left out, because they have more tokens than are read.</param>
/// <param name="Seed">The seed that repeats the training, with the same data, machine and number of threads.</param>
public sealed record TextClassificationSummary(
    TrainingResult Training, int TrainingTexts, int ValidationTexts, long MissingLabels, long EmptyTexts, long CutTexts, int Seed)
    : TrainingSummary;

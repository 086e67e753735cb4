using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a language model was trained.</summary>
/// <param name="Training">Losses and validation by epoch, and why training ended. Samples are tokens.</param>
/// <param name="Documents">Texts it was trained on.</param>
/// <param name="TrainingTokens">Tokens it was trained on, separators included.</param>
/// <param name="ValidationTokens">Tokens it was validated on after every epoch; 0 for none.</param>
/// <param name="EmptyTexts">Rows of both sets that were left out because their text is empty or missing.</param>
/// <param name="Seed">The seed that repeats the training, with the same data, machine and number of threads, unless it was ended by
/// time.</param>
public sealed record LanguageModelSummary(
    TrainingResult Training,
    int Documents,
    long TrainingTokens,
    long ValidationTokens,
    long EmptyTexts,
    int Seed
) : TrainingSummary;

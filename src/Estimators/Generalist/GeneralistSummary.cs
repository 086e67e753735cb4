using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a generalist was trained.</summary>
/// <param name="Training">Losses and validation by epoch, and why training ended. Samples are examples of all tasks.</param>
/// <param name="Examples">Examples of each task, by its name.</param>
/// <param name="UnusedRows">Rows that were left out, because what their task asks for is missing or cannot be read.</param>
/// <param name="CutTexts">Texts that were too long and lost their last tokens.</param>
/// <param name="Seed">The seed that repeats the training, with the same data, machine and number of threads, unless it was ended by
/// time.</param>
public sealed record GeneralistSummary(
    TrainingResult Training,
    IReadOnlyDictionary<string, int> Examples,
    long UnusedRows,
    long CutTexts,
    int Seed
) : TrainingSummary
{
    /// <summary>
    /// The trainings that the model had gone through before, where it started from an earlier one
    /// (<see cref="UniPerceiverGeneralist.Options.InitialModel"/>), the first of them first; themselves without earlier ones.
    /// </summary>
    public IReadOnlyList<GeneralistSummary> Earlier { get; init; } = [];
}

using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// Where and how often a training is written down so that it can go on after its process has ended, and whether it does. A file holds all
/// that decides how training goes on: weights, optimizer, averages, best weights so far, history, place in the data, generators of random
/// numbers. On a CPU with the same threads a training that was continued ends with the same weights, to the bit, as one that was not
/// interrupted.
/// </summary>
/// <param name="Folder">The folder, made where it is missing. One training at a time; nothing else should be in it.</param>
public sealed record CheckpointOptions(string Folder)
{
    /// <summary>Updates between two checkpoints, at least 1; null (default) for none within an epoch.</summary>
    public int? EverySteps { get; init; }

    /// <summary>
    /// Epochs between two checkpoints, at least 1; null for none between epochs. Default 1. The end of the training, and its cancellation,
    /// always write one.
    /// </summary>
    public int? EveryEpochs { get; init; } = 1;

    /// <summary>
    /// Checkpoints that stay, the newest ones, at least 1. Default 2: should the newest turn out to be damaged, there is another.
    /// </summary>
    public int Kept { get; init; } = 2;

    /// <summary>
    /// Whether to go on where the newest readable checkpoint stands; where the folder has none, training starts from the beginning. Default
    /// false: then the folder must have none. A training that had ended gives its result again.
    /// </summary>
    public bool Resume { get; init; }

    internal void Validate()
    {
        if (string.IsNullOrWhiteSpace(Folder))
            throw new ArgumentException($"{nameof(CheckpointOptions)}.{nameof(Folder)} is empty; it must name a folder.");
        if (EverySteps is { } steps)
            OptionChecks.AtLeast(1, steps, nameof(EverySteps));
        if (EveryEpochs is { } epochs)
            OptionChecks.AtLeast(1, epochs, nameof(EveryEpochs));
        OptionChecks.AtLeast(1, Kept, nameof(Kept));
    }
}

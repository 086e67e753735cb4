using System.Globalization;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What the estimators share of trainings that are written down and continued: the options for it, and by what a training is known again.</summary>
internal static class ContinuedTraining
{
    /// <summary>The state to continue from; null where nothing is to be continued, or nothing has been written yet.</summary>
    public static TrainingState? Peek(string? folder, bool resume) => resume ? CheckpointStore.Peek(folder!) : null;

    /// <summary>Says that a training continues.</summary>
    public static string Announce(TrainingState state, string? folder) =>
        string.Create(CultureInfo.InvariantCulture, $"Training continues after {state.Steps:n0} steps and {state.Epochs.Count} epochs, from '{folder}'.");

    /// <summary>The options of the training loop; null without a folder.</summary>
    public static CheckpointOptions? CreateOptions(string? folder, int? everySteps, int? everyEpochs, int kept, bool resume) =>
        folder is null ? null : new() { Folder = folder, EverySteps = everySteps, EveryEpochs = everyEpochs, Kept = kept, Resume = resume };

    /// <summary>Checks that there is something to continue from.</summary>
    /// <exception cref="ArgumentException">There is not.</exception>
    public static void RequireFolder(string? folder, bool resume)
    {
        if (resume && folder is null)
            throw new ArgumentException($"{nameof(ImageClassificationOptions.Resume)} is true, but {nameof(ImageClassificationOptions.CheckpointFolder)} names no folder to continue from.");
    }

    /// <summary>The options that decide how weights change, by name: a training that is continued must have them all as they were. Names of columns are no such options.</summary>
    /// <param name="options">An estimator's options.</param>
    /// <param name="withoutInfluence">Names of those that change no weight, or are told otherwise.</param>
    public static IEnumerable<KeyValuePair<string, string>> Describe(object options, IReadOnlySet<string> withoutInfluence) => options.GetType().GetProperties()
        .Where(property => property.CanWrite && !withoutInfluence.Contains(property.Name) && !property.Name.EndsWith("ColumnName", StringComparison.Ordinal))
        .SelectMany(property => Describe(property.Name, property.GetValue(options)));

    /// <summary>A value, and those within it, by name: <c>NAME.INNER</c>.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Describe(string name, object? value) =>
        TrainingState.Describe(value).Select(inner => KeyValuePair.Create((name + '.' + inner.Key).TrimEnd('.'), inner.Value));
}

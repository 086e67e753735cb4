using System.Globalization;
using System.Security.Cryptography;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.MoE.Weights;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What the estimators share of trainings that are written down and continued: the options for it, and by what a training is known again.</summary>
internal static class ContinuedTraining
{
    /// <summary>
    /// The state to continue from; null where nothing is to be continued, or nothing has been written yet. Checks what can be checked before the data are read, which may take long; the training loop checks all of it.
    /// </summary>
    /// <param name="training">The options of the training loop.</param>
    /// <param name="options">The estimator's options, as <see cref="Describe(object, IReadOnlySet{string})"/> has them.</param>
    /// <exception cref="InvalidOperationException">The folder has checkpoints of a training with other options, or has some and is not to be resumed.</exception>
    public static TrainingState? Peek(TrainingOptions training, IEnumerable<KeyValuePair<string, string>> options)
    {
        if (training.Checkpoints is not { } checkpoints)
            return null;
        if (!checkpoints.Resume)
        {
            CheckpointStore.RequireNone(checkpoints.Folder);
            return null;
        }
        if (CheckpointStore.Peek(checkpoints.Folder) is not { } state)
            return null;
        var now = options.ToDictionary();
        foreach (var (name, value) in state.Identity)
            now.TryAdd(name, value);   // what the data decide
        state.RequireSame($"the checkpoints in '{checkpoints.Folder}'", training.Describe(), now);
        return state;
    }

    /// <summary>Says that a training continues.</summary>
    /// <param name="what">The training, at the start of a sentence.</param>
    /// <param name="state">Where it stands.</param>
    /// <param name="training">The options of the training loop.</param>
    public static string Announce(string what, TrainingState state, TrainingOptions training) =>
        string.Create(CultureInfo.InvariantCulture, $"{what} continues after {state.Steps:n0} steps and {state.Epochs.Count} epochs, from '{training.Checkpoints!.Folder}'.");

    /// <summary>The options of the training loop; null without a folder.</summary>
    public static CheckpointOptions? CreateOptions(string? folder, int? everySteps, int? everyEpochs, int kept, bool resume) =>
        folder is null ? null : new() { Folder = folder, EverySteps = everySteps, EveryEpochs = everyEpochs, Kept = kept, Resume = resume };

    /// <summary>Checks that there is a folder where something is said about checkpoints.</summary>
    /// <exception cref="ArgumentException">There is not.</exception>
    public static void RequireFolder(string? folder, int? everySteps, int? everyEpochs, int kept, bool resume)
    {
        if (folder is not null)
            return;
        if (resume)
            throw new ArgumentException($"{nameof(ImageClassificationOptions.Resume)} is true, but {nameof(ImageClassificationOptions.CheckpointFolder)} names no folder to continue from.");
        var usual = new CheckpointOptions { Folder = "" };
        Require(everySteps == usual.EverySteps, nameof(ImageClassificationOptions.CheckpointEverySteps), everySteps);
        Require(everyEpochs is null || everyEpochs == usual.EveryEpochs, nameof(ImageClassificationOptions.CheckpointEveryEpochs), everyEpochs);
        Require(kept == usual.Kept, nameof(ImageClassificationOptions.CheckpointsKept), kept);

        static void Require(bool isUsual, string name, int? value)
        {
            if (!isUsual)
                throw new ArgumentException($"{name} is {value}, but {nameof(ImageClassificationOptions.CheckpointFolder)} names no folder for checkpoints.");
        }
    }

    /// <summary>The options that decide how weights change, by name: a training that is continued must have them all as they were. Names of columns are no such options.</summary>
    /// <param name="options">An estimator's options.</param>
    /// <param name="withoutInfluence">Names of those that change no weight, or are told otherwise.</param>
    public static IEnumerable<KeyValuePair<string, string>> Describe(object options, IReadOnlySet<string> withoutInfluence) => options.GetType().GetProperties()
        .Where(property => property.CanWrite && !withoutInfluence.Contains(property.Name) && !property.Name.EndsWith("ColumnName", StringComparison.Ordinal))
        .SelectMany(property => Describe(property.Name, property.GetValue(options)));

    /// <summary>A hash of all weights of a model, by which the one that a training starts from is known again.</summary>
    public static string HashOfWeights(torch.nn.Module model)
    {
        using var hash = SHA256.Create();
        using (var stream = new CryptoStream(Stream.Null, hash, CryptoStreamMode.Write))
            ModuleWeights.Save(model, stream);
        return Convert.ToHexStringLower(hash.Hash!);
    }

    /// <summary>A value, and those within it, by name: <c>NAME.INNER</c>.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Describe(string name, object? value) =>
        TrainingState.Describe(value).Select(inner => KeyValuePair.Create((name + '.' + inner.Key).TrimEnd('.'), inner.Value));
}

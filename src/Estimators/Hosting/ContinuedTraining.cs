using System.Globalization;
using System.Security.Cryptography;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.MoE.Weights;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Trainings that are written down and continued.</summary>
internal static class ContinuedTraining
{
    /// <summary>
    /// The state to continue from; null where nothing is to be continued, or nothing has been written yet. Checks the options before the
    /// data are read, which may take long; the training loop checks all of it.
    /// </summary>
    /// <param name="training">The options of the training.</param>
    /// <param name="others">Other options that must be as they were, by name.</param>
    /// <exception cref="InvalidOperationException">
    /// The folder has checkpoints of a training with other options, or has some and is not to be resumed.
    /// </exception>
    public static TrainingState? Peek(TrainingOptions training, IReadOnlyDictionary<string, string> others)
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
        var now = others.ToDictionary();
        foreach (var (name, value) in state.Identity)
            now.TryAdd(name, value);   // what the data decide
        state.RequireSame($"the checkpoints in '{checkpoints.Folder}'", training.Describe(), now);
        return state;
    }

    /// <summary>Says that a training continues.</summary>
    /// <param name="what">The training, at the start of a sentence.</param>
    /// <param name="state">Where it stands.</param>
    /// <param name="training">The options of the training.</param>
    public static string Announce(string what, TrainingState state, TrainingOptions training) => string.Create(
        CultureInfo.InvariantCulture,
        $"{what} continues after {state.Steps:n0} steps and {state.Epochs.Count} epochs, from '{training.Checkpoints!.Folder}'.");

    /// <summary>A hash of all weights of a model, which tells whether a training starts from the same one.</summary>
    public static string HashOfWeights(torch.nn.Module model)
    {
        using var hash = SHA256.Create();
        using (var stream = new CryptoStream(Stream.Null, hash, CryptoStreamMode.Write))
            ModuleWeights.Save(model, stream);
        return Convert.ToHexStringLower(hash.Hash!);
    }
}

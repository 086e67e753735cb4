using System.Globalization;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>The folder with the checkpoints of one training: <c>checkpoint-STEP.safetensors</c>, STEP being the updates done.</summary>
internal sealed class CheckpointStore(CheckpointOptions options, Action<string>? warn) : IDisposable
{
    private const string Prefix = "checkpoint-";
    private const string Suffix = ".safetensors";

    private FileStream? inUse;

    /// <summary>
    /// Takes the folder, so that no other training writes there, and clears what a process that ended in the middle of writing left.
    /// </summary>
    /// <exception cref="InvalidOperationException">Another training is using the folder, or it has checkpoints and is not to be
    /// resumed.</exception>
    public void Open()
    {
        _ = Directory.CreateDirectory(options.Folder);
        try
        {
            inUse = new FileStream(
                Path.Combine(options.Folder, "in-use"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 1,
                FileOptions.DeleteOnClose);
        }
        catch (IOException exception)
        {
            throw new InvalidOperationException(
                $"The checkpoint folder '{options.Folder}' cannot be locked; another training may be using it: {exception.Message}",
                exception);
        }

        foreach (var unfinished in Directory.EnumerateFiles(options.Folder, $"{Prefix}*{Suffix}{AtomicFile.Suffix}"))
            File.Delete(unfinished);
        if (!options.Resume)
            RequireNone(options.Folder);
    }

    /// <summary>
    /// Checks that a folder has no checkpoints, for those who must know before they have done any work. It need not exist.
    /// </summary>
    /// <exception cref="InvalidOperationException">It has some.</exception>
    public static void RequireNone(string folder)
    {
        if (Directory.Exists(folder) && Files(folder) is [var (path, _), ..])
        {
            throw new InvalidOperationException(
                $"The checkpoint folder '{folder}' has checkpoints of an earlier training (the newest: {Path.GetFileName(path)}). "
                + $"Set {nameof(CheckpointOptions.Resume)} to continue it, or delete them, or give another folder.");
        }
    }

    /// <summary>
    /// The newest checkpoint that is whole; null where there is none and none is wanted. Newer ones that are damaged are reported and
    /// renamed, as they must not count among the newest that stay; where all are damaged they keep their names, so that the next attempt
    /// does not start afresh either.
    /// </summary>
    /// <exception cref="InvalidDataException">There are checkpoints, and none of them can be read.</exception>
    public (string Path, SafeTensorsContents Contents, TrainingState State)? Load()
    {
        if (!options.Resume)
            return null;
        var files = Files(options.Folder);
        var damaged = new List<string>();
        foreach (var (path, _) in files)
        {
            try
            {
                var found = Read(path);
                damaged.ForEach(name => File.Move(name, name + ".damaged", overwrite: true));
                return found;
            }
            catch (Exception exception) when (exception is InvalidDataException or IOException)
            {
                warn?.Invoke(
                    $"The checkpoint '{path}' cannot be read: {exception.Message} "
                        + $"{(files[^1].Path == path ? "There is no earlier one." : "Training goes on from the one before it.")}");
                if (exception is InvalidDataException)   // one that the system did not let us read may be whole
                    damaged.Add(path);
            }
        }
        return files.Count == 0
            ? null
            : throw new InvalidDataException(
                $"None of the {files.Count} checkpoints in '{options.Folder}' can be read; empty the folder to train from the beginning.");
    }

    private static (string Path, SafeTensorsContents Contents, TrainingState State) Read(string path)
    {
        var (contents, state) = CheckpointFile.Read(path);
        try
        {
            return (path, contents, TrainingState.FromJson(state));
        }
        catch
        {
            contents.Dispose();
            throw;
        }
    }

    /// <summary>
    /// The state in the newest checkpoint that is whole, for those who need it before the training is set up; null where there is none.
    /// </summary>
    public static TrainingState? Peek(string folder)
    {
        if (!Directory.Exists(folder))
            return null;
        foreach (var (path, _) in Files(folder))
        {
            try
            {
                return TrainingState.FromJson(CheckpointFile.ReadState(path));
            }
            catch (Exception exception) when (exception is InvalidDataException or IOException)
            {
                // Load reports it.
            }
        }
        return null;
    }

    /// <summary>
    /// Writes a checkpoint and removes those that are too many. A disk that is full, say, costs the checkpoint and not the training, where
    /// there is somebody to warn.
    /// </summary>
    public void Save(int step, IReadOnlyDictionary<string, Tensor> tensors, TrainingState state)
    {
        var path = Path.Combine(options.Folder, string.Create(CultureInfo.InvariantCulture, $"{Prefix}{step:d9}{Suffix}"));
        try
        {
            CheckpointFile.Write(path, tensors, state.ToJson());
            foreach (var (old, _) in Files(options.Folder).Skip(options.Kept))
                File.Delete(old);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException && warn is not null)
        {
            warn($"The checkpoint '{path}' could not be written, and training goes on without it: {exception.Message}");
        }
    }

    public void Dispose() => inUse?.Dispose();

    /// <summary>The checkpoints, newest first.</summary>
    private static List<(string Path, int Step)> Files(string folder)
    {
        var files = new List<(string Path, int Step)>();
        foreach (var path in Directory.EnumerateFiles(folder, $"{Prefix}*{Suffix}"))
        {
            var number = Path.GetFileName(path)[Prefix.Length..^Suffix.Length];
            if (int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var step))
                files.Add((path, step));
        }
        files.Sort((one, other) => other.Step.CompareTo(one.Step));
        return files;
    }
}

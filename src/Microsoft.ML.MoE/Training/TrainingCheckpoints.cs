using System.Globalization;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>Writes down all that decides how a training goes on, and goes on from there; does nothing where no folder is given.</summary>
/// <typeparam name="TBatch">A batch.</typeparam>
/// <param name="loop">What is trained, and how.</param>
/// <param name="position">Where the training stands.</param>
/// <param name="limits">How long it may be.</param>
/// <param name="step">Its optimizer, companions and gradients.</param>
/// <param name="validation">Its best weights.</param>
/// <param name="meter">Its sums for the reports.</param>
internal sealed class TrainingCheckpoints<TBatch>(
    TrainingLoop<TBatch> loop, TrainingPosition position, TrainingLimits limits, TrainingStep<TBatch> step, EpochValidation validation,
    LossMeter meter) : IDisposable
{
    private readonly CheckpointStore? store =
        loop.Options.Checkpoints is { } folder ? new CheckpointStore(folder, loop.Warn) : null;
    private readonly GeneratorStates generators = new(loop.Generators);
    private readonly Dictionary<string, string> identity = new(loop.Identity)
    {
        ["Steps in all"] = limits.TotalSteps.ToString(CultureInfo.InvariantCulture),
        ["Validation"] = validation.Description,
        ["Companions"] = string.Join(", ", step.Companions),
    };

    private Device Device => loop.Module.parameters().First().device;

    /// <summary>Writes a checkpoint.</summary>
    public void Save()
    {
        if (store is null)
            return;

        using var scope = NewDisposeScope();
        var checkpoint = new TrainingCheckpoint();
        checkpoint.Add("weights", NamedTensors.Of(loop.Module));
        var pendingSamples = step.Write(checkpoint);
        var best = validation.Write(checkpoint);
        checkpoint.Add("random", generators.Read());
        store.Save(position.Steps, checkpoint.Tensors, new TrainingState
        {
            Options = loop.Options.Describe(),
            Identity = identity,
            Circumstances = TrainingState.CircumstancesOf(Device),
            Steps = position.Steps,
            Batches = position.Batches,
            LearningRate = position.LearningRate,
            Elapsed = limits.Elapsed,
            Epochs = position.Epochs,
            Best = best,
            Meter = meter.Pause(),
            PendingSamples = pendingSamples,
        });
        meter.Continue();
    }

    /// <summary>Takes the folder and goes on where its newest checkpoint stands, if there is one.</summary>
    public void Resume()
    {
        store?.Open();
        if (store?.Load() is not var (path, contents, state))
            return;
        try
        {
            using var scope = NewDisposeScope();
            state.RequireSame($"checkpoint '{path}'", loop.Options.Describe(), identity);
            if (TrainingState.Difference(state.Circumstances, TrainingState.CircumstancesOf(Device)) is { } change)
                loop.Warn?.Invoke(
                    $"The training of checkpoint '{path}' continues under other circumstances, so that the last digits of its weights "
                        + $"will not be those of a training without interruption: {change}.");

            var checkpoint = new TrainingCheckpoint(contents.Tensors);
            NamedTensors.Copy(NamedTensors.Of(loop.Module), checkpoint["weights"]);
            step.Restore(checkpoint, state.PendingSamples, Device);
            position.Epochs.AddRange(state.Epochs);
            (position.Steps, position.Batches, position.LearningRate) = (state.Steps, state.Batches, state.LearningRate);
            validation.Restore(checkpoint, state.Best, position.Epochs);
            limits.Continue(state.Elapsed);
            meter.Restore(state.Meter);
            generators.Set(checkpoint["random"], Device, state.Steps);
        }
        finally
        {
            foreach (var tensor in contents.Tensors.Values)
                tensor.Dispose();
        }
    }

    /// <summary>
    /// Does what begins again when training is continued: where it is cancelled, random numbers go on as if it had not begun.
    /// </summary>
    public T Repeatably<T>(Func<T> action)
    {
        if (store is null)
            return action();
        using var scope = NewDisposeScope();
        var random = generators.Read();
        try
        {
            return action();
        }
        catch (OperationCanceledException)
        {
            generators.Set(random, Device, position.Steps);
            throw;
        }
    }

    public void Dispose() => store?.Dispose();
}

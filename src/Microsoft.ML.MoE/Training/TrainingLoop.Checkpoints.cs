using Microsoft.ML.MoE.Weights;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <content>What is written down of a run, and read again.</content>
internal sealed partial class TrainingLoop<TBatch>
{
    private sealed partial class RunState
    {
        // Writes down all that decides how training goes on.
        private void Save()
        {
            if (checkpoints is null)
                return;

            using var scope = NewDisposeScope();
            if (pending.Count == 0)
                optimizer.ZeroGrad();   // what they were for is done
            var checkpoint = new TrainingCheckpoint();
            checkpoint.Add("weights", NamedTensors.Of(loop.module));
            checkpoint.Add("optimizer", optimizer.State);
            checkpoint.Add("gradients", NamedTensors.GradientsOf(loop.module));
            for (int i = 0; i < pending.Count; i++)
                checkpoint.Add($"loss{i}", pending[i].ToTensors());
            foreach (var companion in companions)
                checkpoint.Add($"companion/{companion.Name}", companion.State);
            if (bestWeights is not null && tracker.Best is not null)
                checkpoint.Add("best", bestWeights.Copies);
            checkpoint.Add("random", generators.Read());
            checkpoints.Save(steps, checkpoint.Tensors, new TrainingState
            {
                Options = options.Describe(),
                Identity = identity,
                Circumstances = TrainingState.CircumstancesOf(Device),
                Steps = steps,
                Batches = batches,
                LearningRate = learningRate,
                Elapsed = Elapsed,
                Epochs = epochs,
                Best = tracker.State,
                Meter = meter.Pause(),
                PendingSamples = [.. pending.Select(loss => loss.Samples)],
            });
            meter.Continue();
        }

        // Goes on where the newest checkpoint stands, if there is one.
        private void Resume(CheckpointStore store)
        {
            if (store.Load() is not var (path, contents, state))
                return;
            try
            {
                using var scope = NewDisposeScope();
                state.RequireSame($"checkpoint '{path}'", options.Describe(), identity);
                if (TrainingState.Difference(state.Circumstances, TrainingState.CircumstancesOf(Device)) is { } change)
                    loop.Warn?.Invoke(
                        $"The training of checkpoint '{path}' continues under other circumstances, so that the last digits of its weights "
                            + $"will not be those of a training without interruption: {change}.");

                var checkpoint = new TrainingCheckpoint(contents.Tensors);
                NamedTensors.Copy(NamedTensors.Of(loop.module), checkpoint["weights"]);
                optimizer.Restore(checkpoint["optimizer"]);
                NamedTensors.SetGradients(loop.module, checkpoint["gradients"]);
                for (int i = 0; i < state.PendingSamples.Count; i++)
                    pending.Add(StepLoss.FromTensors(checkpoint[$"loss{i}"], state.PendingSamples[i], Device));
                foreach (var companion in companions)
                    companion.Restore(checkpoint[$"companion/{companion.Name}"]);
                epochs.AddRange(state.Epochs);
                tracker.Restore(state.Best, epochs);
                if (bestWeights is not null && tracker.Best is not null)
                    NamedTensors.Copy(bestWeights.Copies, checkpoint["best"]);
                (steps, batches, learningRate, before) = (state.Steps, state.Batches, state.LearningRate, state.Elapsed);
                meter.Restore(state.Meter);
                generators.Set(checkpoint["random"], Device, steps);
            }
            finally
            {
                foreach (var tensor in contents.Tensors.Values)
                    tensor.Dispose();
            }
        }
    }
}

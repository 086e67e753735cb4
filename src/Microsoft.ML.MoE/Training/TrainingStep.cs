using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Weights;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// Turns batches into updates: adds up gradients, clips them, moves the weights unless something is not finite, and lets the companions
/// follow.
/// </summary>
/// <typeparam name="TBatch">A batch.</typeparam>
internal sealed class TrainingStep<TBatch> : IDisposable
{
    private readonly TrainingLoop<TBatch> loop;
    private readonly TrainingPosition position;
    private readonly TrainingLimits limits;
    private readonly LossMeter meter;
    private readonly ILearningRateSchedule schedule;
    private readonly IOptimizer optimizer;
    private readonly ITrainingCompanion[] companions;
    private readonly List<StepLoss> pending = [];   // of the batches since the last update

    /// <summary>Makes the optimizer, and starts the moving average where there is to be one.</summary>
    /// <param name="loop">What is trained, and how.</param>
    /// <param name="position">Where the training stands; moved on by every update.</param>
    /// <param name="limits">How long it may be.</param>
    /// <param name="meter">Takes in every update; stays the caller's.</param>
    public TrainingStep(TrainingLoop<TBatch> loop, TrainingPosition position, TrainingLimits limits, LossMeter meter)
    {
        (this.loop, this.position, this.limits, this.meter) = (loop, position, limits, meter);
        schedule = loop.Options.CreateSchedule(limits.TotalSteps);
        optimizer = TrainingOptimizer.Create(loop.Module, loop.Options, loop.LearningRateScale);
        Average = loop.Options.EmaDecay is { } decay ? new WeightAverage(loop.Module, optimizer.Parameters, decay) : null;
        companions = Average is null ? [.. loop.Companions] : [.. loop.Companions, Average];
    }

    /// <summary>The moving average of the weights; null for none.</summary>
    public WeightAverage? Average { get; }

    /// <summary>What acts after every update, by name.</summary>
    public IEnumerable<string> Companions => companions.Select(companion => companion.Name);

    /// <summary>Whether gradients wait for their update.</summary>
    public bool IsPending => pending.Count > 0;

    /// <summary>Whether an update has all its batches.</summary>
    public bool IsComplete => pending.Count == loop.Options.GradientAccumulation;

    /// <summary>
    /// Adds the gradients of a batch: of the sum over its samples where there are more batches to an update, so that the weights need not
    /// be known before the last of them.
    /// </summary>
    public void Accumulate(TBatch batch)
    {
        using var scope = NewDisposeScope();
        if (pending.Count == 0)
            optimizer.ZeroGrad();
        var loss = loop.ComputeLoss(batch);
        var total = loss.Total();
        (loop.Options.GradientAccumulation == 1 ? total : total.Times(loss.Samples)).backward();
        pending.Add(loss.Detach());
    }

    /// <summary>Updates the weights by the gradients of the batches since the last update, of which there is one at least.</summary>
    public void Update()
    {
        using var scope = NewDisposeScope();
        var loss = StepLoss.Together(pending);
        // What the gradients are a sum over.
        var samples = loop.Options.GradientAccumulation == 1 ? null : Filled([], loss.Samples, float32, loss.Main.device);
        var (norm, divisor) = ((Tensor?)null, samples);
        if (loop.Options.GradientClipNorm is { } limit)
        {
            norm = optimizer.GradientNorm();
            norm = samples is null ? norm : norm / samples;
            divisor = GradientClipping.Divisor(norm, limit);
            divisor = samples is null ? divisor : divisor * samples;
        }

        // Decided on the device, so that weights stay finite even where the host learns of it some steps later.
        var total = loss.Total();
        var skip = (norm is null ? total : total.Plus(norm)).isfinite().logical_not().to_type(float32);
        position.LearningRate = schedule.RateAt(limits.ScheduleStep);
        optimizer.Step(position.LearningRate, divisor, skip);
        position.Steps++;
        foreach (var companion in companions)
            companion.AfterUpdate(position.Steps, limits.ExpectedSteps);
        meter.Add(position.Steps, position.LearningRate, loss, norm);
        DropPending();
    }

    /// <summary>Adds its part to a checkpoint.</summary>
    /// <returns>The samples of each batch whose gradients wait for the update.</returns>
    public IReadOnlyList<int> Write(TrainingCheckpoint checkpoint)
    {
        if (pending.Count == 0)
            optimizer.ZeroGrad();   // what they were for is done
        checkpoint.Add("optimizer", optimizer.State);
        checkpoint.Add("gradients", NamedTensors.GradientsOf(loop.Module));
        for (int i = 0; i < pending.Count; i++)
            checkpoint.Add($"loss{i}", pending[i].ToTensors());
        foreach (var companion in companions)
            checkpoint.Add($"companion/{companion.Name}", companion.State);
        return [.. pending.Select(loss => loss.Samples)];
    }

    /// <summary>Takes its part over from a checkpoint.</summary>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="pendingSamples">What <see cref="Write"/> returned.</param>
    /// <param name="device">Where the module lies.</param>
    public void Restore(TrainingCheckpoint checkpoint, IReadOnlyList<int> pendingSamples, Device device)
    {
        optimizer.Restore(checkpoint["optimizer"]);
        NamedTensors.SetGradients(loop.Module, checkpoint["gradients"]);
        for (int i = 0; i < pendingSamples.Count; i++)
            pending.Add(StepLoss.FromTensors(checkpoint[$"loss{i}"], pendingSamples[i], device));
        foreach (var companion in companions)
            companion.Restore(checkpoint[$"companion/{companion.Name}"]);
    }

    public void Dispose()
    {
        DropPending();
        optimizer.ZeroGrad();
        optimizer.Dispose();
        Average?.Dispose();
    }

    private void DropPending()
    {
        foreach (var loss in pending)
            loss.Dispose();
        pending.Clear();
    }
}

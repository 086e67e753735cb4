// What happened in the steps since the last report. Numbers are collected on the device and fetched several steps at a time, so that an
// accelerator need not wait after each.
//
// Axes: S = steps not fetched yet, Q = quantities of a step, B = routed layers, E = experts of one of them, X = the choices of every expert
// of every layer, then the dropped ones by layer.

using System.Diagnostics;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>Adds up losses, gradient norms and expert load, and throws where one is not finite.</summary>
internal sealed class LossMeter : IDisposable
{
    private const int StepsPerFetch = 16;   // on an accelerator; on the CPU nothing is won by waiting

    private readonly List<(int Step, double LearningRate, int Samples, bool HasNorm, Tensor Values_Q)> pending = [];
    private readonly Stopwatch window = new();
    private readonly Stopwatch epoch = new();
    private Tensor? load_X;
    private int[] layerExperts = [];   // E of each layer: how load_X is laid out
    private LossSums windowSums = new();
    private LossSums epochSums = new();
    private TimeSpan windowBefore;   // what the clocks do not show: the time before a training was continued
    private TimeSpan epochBefore;

    /// <summary>Starts the clocks and the sums.</summary>
    public void StartEpoch()
    {
        windowBefore = epochBefore = TimeSpan.Zero;
        (windowSums, epochSums) = (new LossSums(), new LossSums());
        window.Restart();
        epoch.Restart();
    }

    /// <summary>Adds a step.</summary>
    /// <param name="step">The update, from 1.</param>
    /// <param name="learningRate">Its learning rate.</param>
    /// <param name="loss">Its losses; not kept.</param>
    /// <param name="norm">The norm of its gradients, or null.</param>
    /// <exception cref="TrainingDivergedException">This or a recent step was not finite.</exception>
    public void Add(int step, double learningRate, StepLoss loss, Tensor? norm)
    {
        using var _ = no_grad();
        using var scope = NewDisposeScope();
        var values_Q = stack([loss.Main.to_type(float32), loss.Auxiliary.to_type(float32), norm ?? zeros_like(loss.Main, float32)]);
        pending.Add((step, learningRate, loss.Samples, norm is not null, values_Q.DetachFromDisposeScope()));
        if (loss.ExpertCounts_E is { Count: > 0 } counts)
        {
            var dropped_B = loss.DroppedCounts_B ?? zeros([counts.Count], int64, counts[0].device);
            var step_X = cat([.. counts, dropped_B], 0);
            if (load_X is null)
                (load_X, layerExperts) = (step_X.DetachFromDisposeScope(), [.. counts.Select(counts_E => (int)counts_E.shape[0])]);
            else
                load_X.PlusInPlace(step_X);
        }
        if (values_Q.device_type == DeviceType.CPU || pending.Count >= StepsPerFetch)
            Fetch();
    }

    /// <summary>The means since the last call, or since the epoch started.</summary>
    public TrainingAverages EndWindow()
    {
        Fetch();
        FetchLoad();
        epochSums.Add(windowSums);
        var averages = windowSums.Average(windowBefore + window.Elapsed);
        windowSums = new LossSums();
        windowBefore = TimeSpan.Zero;
        window.Restart();
        return averages;
    }

    /// <summary>The means of the epoch.</summary>
    public TrainingAverages EndEpoch()
    {
        EndWindow();
        return epochSums.Average(epochBefore + epoch.Elapsed);
    }

    /// <summary>What a checkpoint keeps. Stops the clocks, so that writing it does not count.</summary>
    public LossMeterState Pause()
    {
        window.Stop();
        epoch.Stop();
        Fetch();
        FetchLoad();
        return new(windowSums with { }, windowBefore + window.Elapsed, epochSums with { }, epochBefore + epoch.Elapsed);
    }

    /// <summary>Lets the clocks run on after <see cref="Pause"/>.</summary>
    public void Continue()
    {
        window.Start();
        epoch.Start();
    }

    /// <summary>Goes on from a state, with the clocks running.</summary>
    public void Restore(LossMeterState state)
    {
        (windowSums, windowBefore) = (state.Window with { }, state.WindowTime);
        (epochSums, epochBefore) = (state.Epoch with { }, state.EpochTime);
        window.Restart();
        epoch.Restart();
    }

    public void Dispose()
    {
        foreach (var item in pending)
            item.Values_Q.Dispose();
        load_X?.Dispose();
    }

    private void Fetch()
    {
        if (pending.Count == 0)
            return;

        using var scope = NewDisposeScope();
        var values_SQ = stack(pending.Select(item => item.Values_Q)).cpu().data<float>().ToArray();
        var steps = pending.ToArray();
        foreach (var item in steps)
            item.Values_Q.Dispose();
        pending.Clear();

        for (int i = 0; i < steps.Length; i++)
        {
            var (step, learningRate, samples, hasNorm, _) = steps[i];
            double main = values_SQ[3 * i], auxiliary = values_SQ[(3 * i) + 1], norm = values_SQ[(3 * i) + 2];
            RequireFinite("The loss", main, step, learningRate);
            RequireFinite("The auxiliary loss", auxiliary, step, learningRate);
            RequireFinite("The norm of the gradients", norm, step, learningRate);
            windowSums.Add(samples, main, auxiliary, hasNorm ? norm : null);
        }
    }

    private void FetchLoad()
    {
        if (load_X is null)
            return;

        using var scope = NewDisposeScope();
        var numbers = load_X.cpu().data<long>().ToArray();
        var dropped = numbers.AsSpan(layerExperts.Sum());
        var loads = new ExpertLoad[layerExperts.Length];
        for (int layer = 0, start = 0; layer < loads.Length; start += layerExperts[layer++])
            loads[layer] = new ExpertLoad(numbers[start..(start + layerExperts[layer])], dropped[layer]);
        windowSums.AddLoad(loads);
        load_X.Dispose();
        load_X = null;
    }

    private static void RequireFinite(string quantity, double value, int step, double learningRate)
    {
        if (!double.IsFinite(value))
            throw new TrainingDivergedException(quantity, value, step, learningRate);
    }
}

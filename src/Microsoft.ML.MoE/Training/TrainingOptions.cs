using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Training;

/// <summary>How a model is trained: length, optimizer, schedule, clipping, early stopping, reporting.</summary>
public sealed record TrainingOptions
{
    /// <summary>Passes over the training data, at least 1. Default 10.</summary>
    public int Epochs { get; init; } = 10;

    /// <summary>Updates after which training ends even within an epoch, at least 1; null (default) for no such limit.</summary>
    public int? MaxSteps { get; init; }

    /// <summary>
    /// Time after which training ends even within an epoch, above 0; null (default) for no such limit. Counts from the start of the training, validation between epochs included and that after
    /// the last update not. The learning rate is laid out over this time or over all updates, whichever ends first at the speed so far: it reaches its final value when the time is over.
    /// What comes out depends on the machine's speed, and does not repeat to the bit.
    /// </summary>
    public TimeSpan? MaxTime { get; init; }

    /// <summary>
    /// Batches whose gradients are averaged, weighted by their samples, for one update; at least 1. Default 1. The update is that of one batch with all their samples, but for what a
    /// model computes over a batch as a whole: capacity, balance losses, batch normalisation. At the end of an epoch an update may have fewer.
    /// </summary>
    public int GradientAccumulation { get; init; } = 1;

    /// <summary>The optimizer. Default: AdamW. Modules with an optimizer of their own keep it (<see cref="IHasOwnOptimizer"/>).</summary>
    public OptimizerKind Optimizer { get; init; }

    /// <summary>Highest learning rate, at least 0. Default 1e-3.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Learning rate at the end, at least 0. Default 1e-5. Without effect where the rate is constant; where the highest rate is lower than this, the rate stays there after its warm-up.</summary>
    public double FinalLearningRate { get; init; } = 1e-5;

    /// <summary>How the rate falls from the highest to the last. Default: a cosine.</summary>
    public LearningRateDecay LearningRateDecay { get; init; }

    /// <summary>Updates before the highest rate is reached, at least 0; null (default) to use <see cref="WarmupFraction"/>.</summary>
    public int? WarmupSteps { get; init; }

    /// <summary>The part of all updates that is warm-up, 0 to 1. Default 0.05. Without effect where <see cref="WarmupSteps"/> is set.</summary>
    public double WarmupFraction { get; init; } = 0.05;

    /// <summary>
    /// What the learning rate is multiplied by from one layer to the one before it, above 0 and at most 1, so that the layers next to the input change least: for a model that was trained
    /// before. Default 1: all layers learn alike. Needs a module that tells its layers (<see cref="IHasLayers"/>). A parameter that several layers share gets the mean of their rates.
    /// </summary>
    public double LayerDecay { get; init; } = 1;

    /// <summary>Weight decay of matrices, at least 0. Default 0.05. Decoupled with AdamW; <see cref="Lamb"/> and <see cref="FusedSgd"/> say where it acts with them. See <see cref="ParameterGroup.ForModule(TorchSharp.torch.nn.Module, double)"/> for what does not decay.</summary>
    public double WeightDecay { get; init; } = 0.05;

    /// <summary>Momentum of gradient descent, 0 to below 1. Default 0.9. Without effect on other optimizers.</summary>
    public double Momentum { get; init; } = 0.9;

    /// <summary>Whether gradient descent looks ahead along its momentum (Nesterov), which must be above 0 then. Default false. Without effect on other optimizers.</summary>
    public bool Nesterov { get; init; }

    /// <summary>Decay of the first moment of AdamW and LAMB, 0 to below 1. Default 0.9.</summary>
    public double Beta1 { get; init; } = 0.9;

    /// <summary>Decay of the second moment of AdamW and LAMB, 0 to below 1. Default 0.999.</summary>
    public double Beta2 { get; init; } = 0.999;

    /// <summary>Added to the root of the second moment of AdamW and LAMB, at least 0. Default 1e-8.</summary>
    public double Epsilon { get; init; } = 1e-8;

    /// <summary>Limit on the Euclidean norm of all gradients together, above 0; null for none. Default 1.</summary>
    public double? GradientClipNorm { get; init; } = 1;

    /// <summary>
    /// Decay d of a moving average of the weights, 0 to below 1, usually 0.99 to 0.9999; null (default) for none. After update t an average keeps min(d, (1 + t) / (10 + t)) of itself. Validation
    /// measures the average, and the module ends with it (with that of the best epoch where the best weights are kept). Tables with an optimizer of their own are left out.
    /// </summary>
    public double? EmaDecay { get; init; }

    /// <summary>When to stop before the last epoch; null (default) for never. Needs validation.</summary>
    public EarlyStopping? EarlyStopping { get; init; }

    /// <summary>What decides which epoch is the best. Default: the metric.</summary>
    public MonitoredQuantity Monitor { get; init; }

    /// <summary>Whether a model that is validated ends with the weights of its best epoch rather than of its last. Default true.</summary>
    public bool KeepBestWeights { get; init; } = true;

    /// <summary>Where training is written down so that it can go on after its process has ended; null (default) for nowhere.</summary>
    public CheckpointOptions? Checkpoints { get; init; }

    /// <summary>What happens when training is cancelled. Default: it throws.</summary>
    public CancellationBehavior OnCancellation { get; init; }

    /// <summary>Updates between two progress reports within an epoch, at least 1. Default 50.</summary>
    public int ProgressInterval { get; init; } = 50;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value wanted.</exception>
    public void Validate()
    {
        OptionChecks.AtLeast(1, Epochs, nameof(Epochs));
        if (MaxSteps is { } maxSteps)
            OptionChecks.AtLeast(1, maxSteps, nameof(MaxSteps));
        if (MaxTime is { } maxTime && maxTime <= TimeSpan.Zero)
            throw new ArgumentException($"{nameof(MaxTime)} is {maxTime}; it must be above 0.");
        OptionChecks.AtLeast(1, GradientAccumulation, nameof(GradientAccumulation));
        OptionChecks.Defined(Optimizer, nameof(Optimizer));
        OptionChecks.AtLeast(0, LearningRate, nameof(LearningRate));
        OptionChecks.AtLeast(0, FinalLearningRate, nameof(FinalLearningRate));
        OptionChecks.Defined(LearningRateDecay, nameof(LearningRateDecay));
        if (WarmupSteps is { } warmupSteps)
            OptionChecks.AtLeast(0, warmupSteps, nameof(WarmupSteps));
        OptionChecks.Between(0, 1, WarmupFraction, nameof(WarmupFraction));
        OptionChecks.Above(0, LayerDecay, nameof(LayerDecay));
        OptionChecks.Between(0, 1, LayerDecay, nameof(LayerDecay));
        OptionChecks.AtLeast(0, WeightDecay, nameof(WeightDecay));
        OptionChecks.AtLeastAndBelow(0, 1, Momentum, nameof(Momentum));
        if (Optimizer == OptimizerKind.Sgd && Nesterov && Momentum == 0)
            throw new ArgumentException($"{nameof(Nesterov)} is true and {nameof(Momentum)} is 0; it must be above 0 then.");
        OptionChecks.AtLeastAndBelow(0, 1, Beta1, nameof(Beta1));
        OptionChecks.AtLeastAndBelow(0, 1, Beta2, nameof(Beta2));
        OptionChecks.AtLeast(0, Epsilon, nameof(Epsilon));
        if (GradientClipNorm is { } clipNorm)
            OptionChecks.Above(0, clipNorm, nameof(GradientClipNorm));
        if (EmaDecay is { } emaDecay)
            OptionChecks.AtLeastAndBelow(0, 1, emaDecay, nameof(EmaDecay));
        EarlyStopping?.Validate();
        Checkpoints?.Validate();
        OptionChecks.Defined(OnCancellation, nameof(OnCancellation));
        OptionChecks.AtLeast(1, ProgressInterval, nameof(ProgressInterval));
    }

    /// <summary>The options that decide how weights change: a training that is continued must have them all as they were.</summary>
    internal IReadOnlyDictionary<string, string> Describe() => TrainingState.Describe(this with { Checkpoints = null, OnCancellation = default, ProgressInterval = 1 });

    /// <summary>The learning rate by step.</summary>
    /// <param name="totalSteps">Updates of the whole training.</param>
    internal ILearningRateSchedule CreateSchedule(int totalSteps)
    {
        int warmup = WarmupSteps ?? (int)(WarmupFraction * totalSteps);
        return new WarmupSchedule(LearningRate, Math.Min(FinalLearningRate, LearningRate), Math.Min(warmup, totalSteps), totalSteps, LearningRateDecay);
    }
}

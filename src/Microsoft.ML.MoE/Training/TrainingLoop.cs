using System.Globalization;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;
using static Microsoft.ML.MoE.Runtime.TensorNumbers;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// Trains any module on any batches: AdamW, LAMB or gradient descent with warm-up, decay, clipping and gradient accumulation; validation,
/// best weights and early stopping by epoch; progress, cancellation and a stop where the loss is not finite; checkpoints that training
/// continues from, to the bit, after its process has ended.
/// </summary>
/// <typeparam name="TBatch">A batch; disposed after its step where it is disposable.</typeparam>
/// <remarks>
/// Random numbers (dropout, router noise) come from libtorch's global generators: open a <c>SeedScope</c> around the run to make it
/// repeatable.
/// </remarks>
internal sealed partial class TrainingLoop<TBatch>
{
    private readonly nn.Module module;
    private readonly Func<TBatch, StepLoss> computeLoss;
    private readonly TrainingOptions options;

    /// <summary>Makes a loop.</summary>
    /// <param name="module">What is trained, with all parameters on one device.</param>
    /// <param name="computeLoss">The loss of a batch. Called in training mode within a dispose scope of its own, which disposes the
    /// result.</param>
    /// <param name="options">How to train.</param>
    /// <exception cref="ArgumentException">An option is out of range, or the module has nothing to train.</exception>
    public TrainingLoop(nn.Module module, Func<TBatch, StepLoss> computeLoss, TrainingOptions options)
    {
        ArgumentNullException.ThrowIfNull(module);
        ArgumentNullException.ThrowIfNull(computeLoss);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (
            !module.parameters().Any(parameter => parameter.requires_grad)
            && !module.modules().Prepend(module).Any(part => part is IHasOwnOptimizer))
            throw new ArgumentException("The module has no parameter that requires a gradient: there is nothing to train.", nameof(module));
        if (options.LayerDecay != 1 && module is not IHasLayers)
            throw new ArgumentException(
                $"{nameof(TrainingOptions.LayerDecay)} is {options.LayerDecay}, but {module.GetType().Name} does not tell which layers "
                    + $"its parameters belong to ({nameof(IHasLayers)}).");
        this.module = module;
        this.computeLoss = computeLoss;
        this.options = options.Settled();   // a copy: the caller's may be changed while this trains
    }

    /// <summary>What acts after every update; stays the caller's. None by default.</summary>
    public IReadOnlyList<ITrainingCompanion> Companions { get; init; } = [];

    /// <summary>
    /// What the learning rate of a parameter is multiplied by, by its name in the module, at least 0; 1 by default. What modules want
    /// besides (<see cref="IHasLearningRateScale"/>) is multiplied with it.
    /// </summary>
    public Func<string, double> LearningRateScale { get; init; } = _ => 1;

    /// <summary>
    /// Generators of random numbers besides libtorch's own, by name, that training draws from: checkpoints keep their state. They stay the
    /// caller's.
    /// </summary>
    public IReadOnlyDictionary<string, Generator> Generators { get; init; } = new Dictionary<string, Generator>();

    /// <summary>
    /// What decides the course of a training besides <see cref="TrainingOptions"/>, by name: model, data, seed, as texts to compare. A
    /// checkpoint of a training with others is refused, and the message names the difference.
    /// </summary>
    public IReadOnlyDictionary<string, string> Identity { get; init; } = new Dictionary<string, string>();

    /// <summary>
    /// Receives what somebody should know who continues a training, in sentences. A null (default) turns a checkpoint that cannot be
    /// written into an exception.
    /// </summary>
    public Action<string>? Warn { get; init; }

    /// <summary>What <see cref="TrainingOptions.MaxTime"/> is measured with.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;

    /// <summary>Trains the module.</summary>
    /// <param name="data">The training batches.</param>
    /// <param name="validate">
    /// Measures the module on the validation set, at the end of every epoch; null for no validation. It may switch the module to evaluation
    /// mode.
    /// </param>
    /// <param name="progress">Called on this thread every <see cref="TrainingOptions.ProgressInterval"/> updates and at the end of every
    /// epoch; null for no reports.</param>
    /// <param name="cancellationToken">
    /// Ends training before the next batch, with a checkpoint where <see cref="TrainingOptions.Checkpoints"/> are set, as
    /// <see cref="TrainingOptions.OnCancellation"/> says.
    /// </param>
    /// <returns>What happened. The module has the weights of its best epoch, or without validation of its last (their moving average with
    /// <see cref="TrainingOptions.EmaDecay"/>), and the mode (training or evaluation) it had before.</returns>
    /// <exception cref="InvalidOperationException">
    /// The training data has no batch, or nothing tells how many updates there will be; or the folder for checkpoints is in use, has those
    /// of another training, or has some and is not to be resumed.
    /// </exception>
    /// <exception cref="InvalidDataException">None of the checkpoints in the folder can be read.</exception>
    /// <exception cref="ArgumentException">Early stopping without validation.</exception>
    /// <exception cref="TrainingDivergedException">A loss or gradient became NaN or infinite.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled; the module has the weights of the last update.</exception>
    public TrainingResult Run(
        IBatchSource<TBatch> data,
        Func<CancellationToken, ValidationResult>? validate = null,
        Action<TrainingProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        if (options.EarlyStopping is not null && validate is null)
            throw new ArgumentException(
                $"{nameof(TrainingOptions.EarlyStopping)} is set, but there is no validation that could tell when to stop.",
                nameof(validate));

        RequireNames(Companions);

        bool wasTraining = module.training;
        using var gradients = enable_grad();   // the caller may be within a no_grad of its own
        using var run = new RunState(this, data, validate, progress, cancellationToken);
        try
        {
            return run.Run();
        }
        finally
        {
            module.train(wasTraining);
        }
    }

    // By its name the state of a companion is found in a checkpoint.
    private static void RequireNames(IReadOnlyList<ITrainingCompanion> companions)
    {
        var taken = new HashSet<string> { WeightAverage.CompanionName };
        foreach (var name in companions.Select(companion => companion.Name))
        {
            if (name.Length == 0 || name.Contains('/', StringComparison.Ordinal))
                throw new InvalidOperationException(
                    $"One of the {nameof(Companions)} is called '{name}'; a name must have at least one character, and none must be a "
                        + "slash.");
            if (!taken.Add(name))
            {
                throw new InvalidOperationException(
                    $"One of the {nameof(Companions)} is called '{name}', as "
                        + $"{(name == WeightAverage.CompanionName ? "the moving average of the weights" : "another one")} is; checkpoints "
                        + "tell them apart by name.");
            }
        }
    }

    /// <summary>The state of one run.</summary>
    private sealed partial class RunState : IDisposable
    {
        private readonly TrainingLoop<TBatch> loop;
        private readonly TrainingOptions options;
        private readonly IBatchSource<TBatch> data;
        private readonly Func<CancellationToken, ValidationResult>? validate;
        private readonly Action<TrainingProgress>? progress;
        private readonly CancellationToken cancellationToken;
        private readonly int epochLimit;
        private readonly int totalSteps;
        private readonly ILearningRateSchedule schedule;
        private readonly IOptimizer optimizer;
        private readonly LossMeter meter = new();
        private readonly BestEpochTracker tracker;
        private readonly WeightAverage? average;
        private readonly ITrainingCompanion[] companions;
        private readonly WeightSnapshot? bestWeights;
        private readonly CheckpointStore? checkpoints;
        private readonly GeneratorStates generators;
        private readonly Dictionary<string, string> identity;
        private readonly List<StepLoss> pending = [];   // of the batches since the last update
        private readonly List<EpochSummary> epochs = [];
        private readonly long start;
        private TimeSpan before;   // what a training that is continued had taken
        private int steps;
        private double learningRate;
        private int batches;   // of the epoch under way
        private bool withinBatch;

        public RunState(
            TrainingLoop<TBatch> loop,
            IBatchSource<TBatch> data,
            Func<CancellationToken, ValidationResult>? validate,
            Action<TrainingProgress>? progress,
            CancellationToken cancellationToken)
        {
            this.loop = loop;
            options = loop.options;
            this.data = data;
            this.validate = validate;
            this.progress = progress is null ? null : report => ProgressReports.Send(progress, report);
            this.cancellationToken = cancellationToken;
            start = loop.Clock.GetTimestamp();
            epochLimit = options.Epochs!.Value;   // the loop has settled them
            totalSteps = CountSteps();
            schedule = options.CreateSchedule(totalSteps);
            tracker = new BestEpochTracker(options.Monitor, options.EarlyStopping);
            optimizer = TrainingOptimizer.Create(loop.module, options, loop.LearningRateScale);
            average = options.EmaDecay is { } decay ? new WeightAverage(loop.module, optimizer.Parameters, decay) : null;
            companions = average is null ? [.. loop.Companions] : [.. loop.Companions, average];
            checkpoints = options.Checkpoints is { } folder ? new CheckpointStore(folder, loop.Warn) : null;
            generators = new GeneratorStates(loop.Generators);
            identity = new(loop.Identity)
            {
                ["Steps in all"] = totalSteps.ToString(CultureInfo.InvariantCulture),
                ["Validation"] = validate is null ? "none" : "after every epoch",
                ["Companions"] = string.Join(", ", companions.Select(companion => companion.Name)),
            };
            bestWeights = validate is not null && options.KeepBestWeights ? new WeightSnapshot(loop.module) : null;
        }

        private Device Device => loop.module.parameters().First().device;

        private bool StepLimitReached => steps >= options.MaxSteps;

        // The part of the training's time that is over; 0 where there is no limit.
        private double TimePassed => options.MaxTime is { } limit ? Elapsed / limit : 0;

        private TimeSpan Elapsed => before + loop.Clock.GetElapsedTime(start);

        private bool TimeIsOver => TimePassed >= 1;

        // What training will take at the speed so far.
        private int ExpectedSteps =>
            TimePassed is > 0 and var passed ? Math.Max(steps, (int)Math.Min(totalSteps, steps / passed)) : totalSteps;

        public TrainingResult Run()
        {
            if (checkpoints is not null)
            {
                checkpoints.Open();
                Resume(checkpoints);
            }
            try
            {
                // A training that was continued may have been at its end.
                StopReason? reason = batches == 0 && epochs.Count > 0 ? EndReason() : null;
                while (reason is null)
                {
                    var summary = RunEpoch(epochs.Count);
                    epochs.Add(summary);
                    batches = 0;
                    progress?.Invoke(
                        new TrainingProgress(
                            summary.Epoch,
                            epochLimit,
                            steps,
                            ExpectedSteps,
                            summary.Averages,
                            summary.LearningRate,
                            EpochCompleted: true,
                            summary.Validation));
                    reason = EndReason();
                    if (reason is not null || epochs.Count % options.Checkpoints?.EveryEpochs == 0)
                        Save();
                }
                return Finish(reason.Value);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                if (!withinBatch)
                    Save();
                if (options.OnCancellation == CancellationBehavior.Throw || steps == 0)
                    throw;
                return Finish(StopReason.Cancelled);
            }
        }

        private StopReason? EndReason() =>
            tracker.PatienceIsOver ? StopReason.EarlyStopping
            : epochs.Count == epochLimit ? StopReason.EpochsCompleted
            : StepLimitReached ? StopReason.StepLimit
            : TimeIsOver ? StopReason.TimeLimit
            : null;

        private TrainingResult Finish(StopReason reason)
        {
            bool restore = bestWeights is not null && tracker.Best is not null;
            if (restore)
                bestWeights!.Restore();
            else
                average?.Swap();
            return new TrainingResult(epochs, steps, reason, tracker.Best, restore);
        }

        public void Dispose()
        {
            checkpoints?.Dispose();
            DropPending();
            optimizer.ZeroGrad();
            optimizer.Dispose();
            average?.Dispose();
            meter.Dispose();
            bestWeights?.Dispose();
        }

        private EpochSummary RunEpoch(int epoch)
        {
            loop.module.train();
            if (batches == 0)
                meter.StartEpoch();
            if (batches == 0 || !(StepLimitReached || TimeIsOver))
                TrainOn(batches == 0 ? data.ReadEpoch(epoch, cancellationToken) : data.ReadEpoch(epoch, batches, cancellationToken), epoch);

            cancellationToken.ThrowIfCancellationRequested();
            if (pending.Count > 0)
                Update();
            if (batches == 0)
                throw new InvalidOperationException(
                    $"The training data has no rows{(epoch == 0 ? "" : $" in epoch {epoch + 1}")}: at least one batch is wanted.");
            return Validate(new EpochSummary(epoch + 1, meter.EndEpoch(), learningRate, Validation: null));
        }

        private void TrainOn(IEnumerable<TBatch> epochData, int epoch)
        {
            foreach (var batch in epochData)
            {
                try
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    withinBatch = true;
                    Accumulate(batch);
                }
                finally
                {
                    (batch as IDisposable)?.Dispose();
                }

                batches++;
                if (pending.Count == options.GradientAccumulation)
                    Update();
                withinBatch = false;
                if (pending.Count > 0)
                    continue;
                if (progress is not null && steps % options.ProgressInterval == 0)
                    progress(
                        new TrainingProgress(
                            epoch + 1,
                            epochLimit,
                            steps,
                            ExpectedSteps,
                            meter.EndWindow(),
                            learningRate,
                            EpochCompleted: false,
                            Validation: null));
                if (steps % options.Checkpoints?.EverySteps == 0)
                    Save();
                if (StepLimitReached || TimeIsOver)
                    break;
            }
        }

        // With a moving average of the weights, it is the average that is measured and kept.
        private EpochSummary Validate(EpochSummary epoch)
        {
            if (validate is null)
                return epoch;
            using var scope = NewDisposeScope();
            var random = checkpoints is null ? null : generators.Read();
            average?.Swap();
            try
            {
                var validation = validate(cancellationToken);
                epoch = epoch with { Validation = validation };
                if (tracker.Add(epoch, validation))
                    bestWeights?.Take();
                return epoch;
            }
            catch (OperationCanceledException) when (random is not null)
            {
                generators.Set(random, Device, steps);   // the validation begins again when training is continued
                throw;
            }
            finally
            {
                average?.Swap();
            }
        }

        // Adds the gradients of a batch: of the sum over its samples where there are more batches to an update, so that the weights need
        // not be known before the last of them.
        private void Accumulate(TBatch batch)
        {
            using var scope = NewDisposeScope();
            if (pending.Count == 0)
                optimizer.ZeroGrad();
            var loss = loop.computeLoss(batch);
            var total = loss.Total();
            (options.GradientAccumulation == 1 ? total : total.Times(loss.Samples)).backward();
            pending.Add(loss.Detach());
        }

        private void Update()
        {
            using var scope = NewDisposeScope();
            var loss = StepLoss.Together(pending);
            // What the gradients are a sum over.
            var samples = options.GradientAccumulation == 1 ? null : Filled([], loss.Samples, float32, loss.Main.device);
            var (norm, divisor) = ((Tensor?)null, samples);
            if (options.GradientClipNorm is { } limit)
            {
                norm = optimizer.GradientNorm();
                norm = samples is null ? norm : norm / samples;
                divisor = GradientClipping.Divisor(norm, limit);
                divisor = samples is null ? divisor : divisor * samples;
            }

            // Decided on the device, so that weights stay finite even where the host learns of it some steps later.
            var total = loss.Total();
            var skip = (norm is null ? total : total.Plus(norm)).isfinite().logical_not().to_type(float32);
            // Slower than the time allows: a step of the schedule stands for less than one of ours.
            learningRate = schedule.RateAt(Math.Max(steps, (int)(TimePassed * totalSteps)));
            optimizer.Step(learningRate, divisor, skip);
            steps++;
            foreach (var companion in companions)
                companion.AfterUpdate(steps, ExpectedSteps);
            meter.Add(steps, learningRate, loss, norm);
            DropPending();
        }

        private void DropPending()
        {
            foreach (var loss in pending)
                loss.Dispose();
            pending.Clear();
        }

        private int CountSteps()
        {
            long? all = data.BatchesPerEpoch is { } perEpoch
                ? ((long)perEpoch + options.GradientAccumulation - 1) / options.GradientAccumulation * epochLimit
                : null;
            if (all is null && options.MaxSteps is null)
            {
                throw new InvalidOperationException(
                    "The batch source does not know how many batches an epoch has, so the learning rate cannot be laid out over the "
                        + $"training: set {nameof(TrainingOptions.MaxSteps)}.");
            }
            return (int)Math.Clamp(Math.Min(all ?? int.MaxValue, options.MaxSteps ?? int.MaxValue), 1, int.MaxValue);
        }
    }
}

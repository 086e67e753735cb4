using Microsoft.ML.MoE.Optimizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// Trains any module on any batches: AdamW, LAMB, Muon or gradient descent with warm-up, decay, clipping and gradient accumulation;
/// validation, best weights and early stopping by epoch; progress, cancellation and a stop where the loss is not finite; checkpoints that
/// training continues from, to the bit, after its process has ended.
/// </summary>
/// <typeparam name="TBatch">A batch; disposed after its step where it is disposable.</typeparam>
/// <remarks>
/// Random numbers (dropout, router noise) come from libtorch's global generators: open a <c>SeedScope</c> around the run to make it
/// repeatable.
/// </remarks>
internal sealed class TrainingLoop<TBatch>
{
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
        if (!module.parameters().Any(parameter => parameter.requires_grad)
            && !module.modules().Prepend(module).Any(part => part is IHasOwnOptimizer))
            throw new ArgumentException("The module has no parameter that requires a gradient: there is nothing to train.", nameof(module));
        if (options.LayerDecay != 1 && module is not IHasLayers)
            throw new ArgumentException(
                $"{nameof(TrainingOptions.LayerDecay)} is {options.LayerDecay}, but {module.GetType().Name} does not tell which layers "
                    + $"its parameters belong to ({nameof(IHasLayers)}).");
        Module = module;
        ComputeLoss = computeLoss;
        Options = options.Settled();   // a copy: the caller's may be changed while this trains
    }

    /// <summary>What is trained.</summary>
    public nn.Module Module { get; }

    /// <summary>The loss of a batch.</summary>
    public Func<TBatch, StepLoss> ComputeLoss { get; }

    /// <summary>How it is trained: a copy of what was given, with all choices made.</summary>
    public TrainingOptions Options { get; }

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
        if (Options.EarlyStopping is not null && validate is null)
            throw new ArgumentException(
                $"{nameof(TrainingOptions.EarlyStopping)} is set, but there is no validation that could tell when to stop.",
                nameof(validate));
        RequireNames(Companions);

        bool wasTraining = Module.training;
        using var gradients = enable_grad();   // the caller may be within a no_grad of its own
        using var run = new TrainingRun<TBatch>(this, data, validate, progress, cancellationToken);
        try
        {
            return run.Run();
        }
        finally
        {
            Module.train(wasTraining);
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
                var other = name == WeightAverage.CompanionName ? "the moving average of the weights" : "another one";
                throw new InvalidOperationException(
                    $"One of the {nameof(Companions)} is called '{name}', as {other} is; checkpoints tell them apart by name.");
            }
        }
    }
}

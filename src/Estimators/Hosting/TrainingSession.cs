using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// What every <c>Fit</c> does: device, seed, identity of the training, resume, scopes, cancellation, warnings and reports.
/// </summary>
internal sealed class TrainingSession : IDisposable
{
    private readonly TrainerOptions options;
    private readonly string samples;
    private readonly IHost host;
    private readonly HostCancellation cancellation;
    private readonly TrainingOptions? before;
    private readonly TrainingState? continuedBefore;
    private readonly TrainingState? continued;
    private IReadOnlyDictionary<string, string> facts = new Dictionary<string, string>();

    /// <summary>Begins: looks for checkpoints, chooses device and seed. The data need not be read before.</summary>
    /// <param name="host">The estimator's.</param>
    /// <param name="options">Its options.</param>
    /// <param name="validates">Whether <c>Fit</c> was given validation data.</param>
    /// <param name="samples">What is counted in reports, such as "images".</param>
    /// <param name="before">Another training that comes before, with checkpoints of its own; null for none.</param>
    /// <exception cref="InvalidOperationException">
    /// Early stopping without validation; no such device; or checkpoints that belong to another training, or are not to be continued from.
    /// </exception>
    public TrainingSession(IHost host, TrainerOptions options, bool validates, string samples, TrainingOptions? before = null)
    {
        (this.host, this.options, this.samples, this.before) = (host, options, samples, before);
        if (options.EarlyStopping is not null && !validates && options.ValidationFraction == 0)
        {
            throw new InvalidOperationException(
                $"{nameof(options.EarlyStopping)} is set, but there is nothing to validate on: pass validation data to Fit, or set "
                + $"{nameof(options.ValidationFraction)} above 0.");
        }
        Device = host.SelectDevice();
        continued = ContinuedTraining.Peek(options, new Dictionary<string, string>());
        continuedBefore = continued is null && before is not null ? ContinuedTraining.Peek(before, options.Describe()) : null;
        Seed = host.SelectSeed(options.Seed, continued ?? continuedBefore);
        cancellation = new HostCancellation(host, options.CancellationToken);
        Channel = host.Start("Fit");
    }

    /// <summary>Receives what there is to say.</summary>
    public IChannel Channel { get; }

    /// <summary>Where the model lies.</summary>
    public torch.Device Device { get; }

    /// <summary>The seed of all that is random.</summary>
    public int Seed { get; }

    /// <summary>Ends the reading of data, between two rows.</summary>
    /// <exception cref="OperationCanceledException">The user's token was cancelled, or the context's operations were.</exception>
    public void ThrowIfCancelled() => cancellation.Token.ThrowIfCancellationRequested();

    /// <summary>Says what was chosen because nobody gave a value.</summary>
    public void SayChosen(IEnumerable<ChosenOption> chosen) => Channel.Say($"Chosen: {string.Join("; ", chosen)}.");

    /// <summary>Whether the training itself goes on from a checkpoint, so that what comes before it is done.</summary>
    public bool IsContinued => continued is not null;

    /// <summary>How long training will be, in words.</summary>
    public string Length
    {
        get
        {
            var steps = options.MaxSteps is { } most ? string.Create(CultureInfo.InvariantCulture, $" or {most:n0} steps") : "";
            var time = options.MaxTime is { } longest ? $" or {longest}" : "";
            return $"{options.Epochs} epochs{steps}{time}";
        }
    }

    /// <summary>
    /// Says what a training that is continued must have as it was, besides its options and its seed. Asked for where there are checkpoints
    /// alone: hashes take time.
    /// </summary>
    /// <param name="model">The model's configuration, as JSON.</param>
    /// <param name="others">What else there is, by name.</param>
    public void Identify(string model, Func<IEnumerable<KeyValuePair<string, string>>> others)
    {
        if (options.Checkpoints is null)
            return;
        var all = new Dictionary<string, string> { [nameof(options.Seed)] = Seed.ToString(CultureInfo.InvariantCulture) };
        foreach (var (name, value) in TrainingState.Describe("Model", JsonNode.Parse(model)).Concat(others()))
            all.Add(name, value);
        facts = all;
    }

    /// <summary>
    /// Makes a model and does something with it: random numbers and threads are those of the options, and what fails leaves nothing behind.
    /// </summary>
    /// <param name="build">Makes the model.</param>
    /// <param name="use">Trains it, say. Its result may own the model.</param>
    public TResult With<TModel, TResult>(Func<TModel> build, Func<TModel, TResult> use) where TModel : torch.nn.Module
    {
        using var generatorScope = new GeneratorScope(Seed, Device);
        using var threadScope = new ThreadScope(options.Threads);
        using var inference = torch.inference_mode(false);   // the caller may be within one, where weights could not be trained
        using var disposeScope = torch.NewDisposeScope();    // holds what is made on the way; the scorer takes the weights out of it
        try
        {
            var model = build();
            try
            {
                return use(model);
            }
            catch
            {
                model.Dispose();
                throw;
            }
        }
        finally
        {
            TorchRuntime.ReleaseFreedMemory();   // gradients, activations, the optimizer's moments: several times the model
        }
    }

    /// <summary>Runs the training that comes before.</summary>
    /// <param name="name">What it is called, at the start of a sentence.</param>
    /// <param name="module">What is trained.</param>
    /// <param name="computeLoss">The loss of a batch.</param>
    /// <param name="source">The batches.</param>
    /// <param name="parts">What it has besides.</param>
    /// <param name="progress">Called with each report; null for nobody.</param>
    public void RunBefore<TBatch>(
        string name, torch.nn.Module module, Func<TBatch, StepLoss> computeLoss, IBatchSource<TBatch> source, LoopParts parts,
        Action<TrainingProgress>? progress)
    {
        if (continuedBefore is not null)
            Channel.Say(ContinuedTraining.Announce(name, continuedBefore, before!));
        var identity = new Dictionary<string, string>(facts);
        foreach (var (option, value) in options.Describe())
            identity.Add(option, value);   // of the training as a whole
        var loop = Loop(module, computeLoss, before!, parts, identity);
        loop.Run(Prefetched(source), validate: null, report => Report($"{name}, epoch", report, progress), cancellation.Token);
    }

    /// <summary>Runs the training.</summary>
    /// <param name="module">What is trained.</param>
    /// <param name="computeLoss">The loss of a batch.</param>
    /// <param name="source">The batches.</param>
    /// <param name="validate">Measures the module after every epoch; null for no validation.</param>
    /// <param name="parts">What it has besides.</param>
    public TrainingResult Run<TBatch>(
        torch.nn.Module module, Func<TBatch, StepLoss> computeLoss, IBatchSource<TBatch> source,
        Func<CancellationToken, ValidationResult>? validate, LoopParts? parts = null)
    {
        if (continued is not null)
            Channel.Say(ContinuedTraining.Announce("Training", continued, options));
        var loop = Loop(module, computeLoss, options, parts ?? new(), facts);
        var result = loop.Run(Prefetched(source), validate, report => Report("Epoch", report, options.Progress), cancellation.Token);
        Channel.Say(TrainingReports.Describe(result));
        return result;
    }

    /// <summary>The same items; between them the context is asked whether it was cancelled.</summary>
    public IEnumerable<T> Watch<T>(IEnumerable<T> items) => cancellation.Watch(items);

    /// <summary>Batches that are made in the background.</summary>
    public PrefetchingBatchSource<T> InBackground<T>(IBatchSource<T> source) => new(source, options.LookAhead);

    /// <inheritdoc/>
    public void Dispose()
    {
        cancellation.Dispose();
        Channel.Dispose();
    }

    private IBatchSource<T> Prefetched<T>(IBatchSource<T> source) => cancellation.Watch(InBackground(source));

    private TrainingLoop<TBatch> Loop<TBatch>(
        torch.nn.Module module,
        Func<TBatch, StepLoss> computeLoss,
        TrainingOptions training,
        LoopParts parts,
        IReadOnlyDictionary<string, string> identity) =>
        new(module, computeLoss, training)
        {
            Companions = parts.Companions,
            LearningRateScale = parts.LearningRateScale,
            Generators = parts.Generators,
            Identity = identity,
            Warn = text => Channel.Warning(MessageSensitivity.None, text),
        };

    private void Report(string what, TrainingProgress progress, Action<TrainingProgress>? callback)
    {
        Channel.Say(TrainingReports.Describe(what, progress, samples));
        callback?.Invoke(progress);
    }
}

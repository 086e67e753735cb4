using System.Globalization;
using System.Reflection;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// How a model is trained: every knob of every training, declared, documented and checked here alone. Who trains a kind of model derives
/// from it to set other defaults.
/// </summary>
/// <remarks>
/// The training loop acts on all of them but those that say who makes the model and the batches:
/// <see cref="BatchSize"/>, <see cref="Precision"/>, <see cref="Threads"/>, <see cref="Seed"/>, <see cref="ValidationFraction"/>,
/// <see cref="LabelSmoothing"/> and <see cref="BalanceLossWeight"/>. Those are for the code that calls it. What is null and "chosen" is
/// chosen by a recipe for the kind of model; of an estimator the training's summary says what was chosen, and why.
/// </remarks>
public class TrainingOptions
{
    /// <summary>
    /// Passes over the training data, at least 1. Null (default): chosen, usually 10; 12 or more for image classifiers with a stem.
    /// </summary>
    public int? Epochs { get; set; }

    /// <summary>
    /// Updates after which training ends even within an epoch, at least 1; null (default) for no such limit. The learning rate is laid out
    /// over these updates, or over all epochs if they have fewer.
    /// </summary>
    public int? MaxSteps { get; set; }

    /// <summary>
    /// Time after which training ends even within an epoch, above 0; null (default) for no such limit. Counts from the start of the
    /// training, validation between epochs included and that after the last update not; reading the data before does not count. The
    /// learning rate is laid out over this time or over all updates, whichever ends first at the speed so far: it reaches its final value
    /// when the time is over. What comes out depends on the machine's speed, and does not repeat to the bit.
    /// </summary>
    public TimeSpan? MaxTime { get; set; }

    /// <summary>
    /// Samples of a batch, at least 1: images, windows of text, or examples of one task. Null (default): chosen, usually 32, of images 64,
    /// and 20 to 100 for image classifiers with a stem.
    /// </summary>
    public int? BatchSize { get; set; }

    /// <summary>
    /// Batches whose gradients are averaged, weighted by their samples, for one update; at least 1. Default 1. The update is that of one
    /// batch with all their samples, but for what a model computes over a batch as a whole: capacity, balance losses, batch normalisation.
    /// At the end of an epoch an update may have fewer.
    /// </summary>
    public int GradientAccumulation { get; set; } = 1;

    /// <summary>
    /// The optimizer. Null (default): chosen, usually AdamW. Modules with an optimizer of their own keep it
    /// (<see cref="IHasOwnOptimizer"/>): tables of experts are always trained by AdamW, and need a learning rate of their own beside
    /// another optimizer's.
    /// </summary>
    public OptimizerKind? Optimizer { get; set; }

    /// <summary>
    /// Highest learning rate, at least 0. Null (default): chosen, usually 1e-3, which suits AdamW; 3e-3 beside Muon.
    /// </summary>
    public double? LearningRate { get; set; }

    /// <summary>
    /// Learning rate at the end, at least 0. Null (default): chosen, usually 1e-5. Without effect where the rate is constant; where
    /// <see cref="LearningRate"/> is lower than this, the rate stays there after its warm-up.
    /// </summary>
    public double? FinalLearningRate { get; set; }

    /// <summary>How the rate falls from the highest to the last. Null (default): chosen, usually a cosine.</summary>
    public LearningRateDecay? LearningRateDecay { get; set; }

    /// <summary>Updates before the highest rate is reached, at least 0; null (default) to use <see cref="WarmupFraction"/>.</summary>
    public int? WarmupSteps { get; set; }

    /// <summary>
    /// The part of all updates that is warm-up, 0 to 1. Null (default): chosen, usually 0.05. Without effect where
    /// <see cref="WarmupSteps"/> is set.
    /// </summary>
    public double? WarmupFraction { get; set; }

    /// <summary>
    /// What the learning rate is multiplied by from one layer to the one before it, above 0 and at most 1, so that the layers next to the
    /// input change least: for a model that was trained before. Default 1: all layers learn alike. For image classifiers; models of other
    /// kinds refuse it. A parameter that several layers share gets the mean of their rates.
    /// </summary>
    public double LayerDecay { get; set; } = 1;

    /// <summary>
    /// Weight decay of matrices, at least 0. Null (default): chosen, usually 0.05, of language models 0.1. Decoupled with AdamW and Muon,
    /// each with its own learning rate; LAMB adds it to the update before its norm is taken, gradient descent to the gradient.
    /// <see cref="NoWeightDecay"/> says what it leaves alone.
    /// </summary>
    public double? WeightDecay { get; set; }

    /// <summary>
    /// Matrices that weight decay leaves alone, as it does all vectors (biases, norms): those whose own name starts with one of these,
    /// whatever the case, or that lie in a module of that name. Default: "bias" (stacked ones), "position" and "classToken": shrinking
    /// those takes away freedom without limiting what the model can fit. LAMB's trust ratio leaves the same alone.
    /// </summary>
    public IReadOnlyList<string> NoWeightDecay { get; set; } = ParameterGroup.UsuallyWithoutDecay;

    /// <summary>Momentum of gradient descent, 0 to below 1. Default 0.9. Without effect on other optimizers.</summary>
    public double Momentum { get; set; } = 0.9;

    /// <summary>
    /// Whether gradient descent looks ahead along its momentum (Nesterov), which must be above 0 then. Default false. Without effect on
    /// other optimizers.
    /// </summary>
    public bool Nesterov { get; set; }

    /// <summary>
    /// Highest learning rate of the matrices that Muon trains, at least 0; it rises and falls as <see cref="LearningRate"/> does, which is
    /// AdamW's, for all else, and must be above 0 then. Default 0.02. Without effect on other optimizers.
    /// </summary>
    public double MuonLearningRate { get; set; } = 0.02;

    /// <summary>Momentum of Muon, 0 to below 1; with Nesterov's look-ahead. Default 0.95. Without effect on other optimizers.</summary>
    public double MuonMomentum { get; set; } = 0.95;

    /// <summary>Decay of the first moment of AdamW and LAMB, 0 to below 1. Default 0.9.</summary>
    public double Beta1 { get; set; } = 0.9;

    /// <summary>
    /// Decay of the second moment of AdamW and LAMB, 0 to below 1. Default 0.999; language models have 0.99, as usual on batches of few
    /// tokens.
    /// </summary>
    public double Beta2 { get; set; } = 0.999;

    /// <summary>Added to the root of the second moment of AdamW and LAMB, at least 0. Default 1e-8.</summary>
    public double Epsilon { get; set; } = 1e-8;

    /// <summary>Limit on the Euclidean norm of all gradients together, above 0; null for none. Default 1.</summary>
    public double? GradientClipNorm { get; set; } = 1;

    /// <summary>
    /// Decay d of a moving average of the weights, 0 to below 1, usually 0.99 to 0.9999 (the more updates, the higher); null (default) for
    /// none. After update t an average keeps min(d, (1 + t) / (10 + t)) of itself. Validation measures the average, and the module ends
    /// with it (with that of the best epoch where the best weights are kept). Tables with an optimizer of their own are left out.
    /// </summary>
    public double? EmaDecay { get; set; }

    /// <summary>
    /// Part of the target that is spread evenly over all classes, 0 to below 1. Null (default): chosen, usually 0, of image classifiers
    /// 0.1. Where tokens are predicted there is none.
    /// </summary>
    public double? LabelSmoothing { get; set; }

    /// <summary>
    /// What the losses that keep experts evenly used are multiplied by, at least 0; null (default) for what the architecture says, which is
    /// 0.01 where nothing else is said. Without effect where nothing routes; a language model without experts that are chosen so refuses
    /// it.
    /// </summary>
    public double? BalanceLossWeight { get; set; }

    /// <summary>
    /// Type of the matrix products. Default: bfloat16 where the device has it in hardware (and on a CPU, the model is at least 256 wide,
    /// with a stem 64), else float32.
    /// </summary>
    public Precision Precision { get; set; }

    /// <summary>
    /// Threads of one operation on the CPU, at least 1; null (default) leaves libtorch's setting, one per core. It is that of the thread
    /// that trains: trainings at the same time each have their own, and the process keeps its setting.
    /// </summary>
    [OutsideIdentity("what they may change, the last digits, is told by the circumstances")]
    public int? Threads { get; set; }

    /// <summary>
    /// Seed of weights, order, dropout and augmentation; null (default) for a new one each time. In ML.NET: for the context's, and without
    /// one a new one each time.
    /// </summary>
    [OutsideIdentity("the seed that was chosen is in it")]
    public int? Seed { get; set; }

    /// <summary>
    /// Part of the training data that is set apart to validate on after every epoch, 0 to below 1; above 0 at least one sample. Default 0.
    /// Without effect where validation data are given. Image classifiers set the same part of every class apart, as far as whole images
    /// allow, and warn of classes of which none validates.
    /// </summary>
    public double ValidationFraction { get; set; }

    /// <summary>When to stop before the last epoch; null (default) for never. Needs validation.</summary>
    public EarlyStopping? EarlyStopping { get; set; }

    /// <summary>What decides which epoch is the best. Default: the metric; language models and generalists have the loss.</summary>
    public MonitoredQuantity Monitor { get; set; }

    /// <summary>Whether a model that is validated ends with the weights of its best epoch rather than of its last. Default true.</summary>
    public bool KeepBestWeights { get; set; } = true;

    /// <summary>
    /// Where training is written down so that it can go on after its process has ended; null (default) for nowhere. A checkpoint takes some
    /// four times the memory of the weights.
    /// </summary>
    [OutsideIdentity("where a training is written down changes no weight")]
    public CheckpointOptions? Checkpoints { get; set; }

    /// <summary>What happens when training is cancelled. Default: it throws.</summary>
    [OutsideIdentity("a training that was cancelled is the same one")]
    public CancellationBehavior OnCancellation { get; set; }

    /// <summary>Updates between two progress reports within an epoch, at least 1. Default 50.</summary>
    [OutsideIdentity("reports change no weight")]
    public int ProgressInterval { get; set; } = 50;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal virtual void Validate()
    {
        OptionChecks.AtLeast(1, Epochs ?? 1, nameof(Epochs));
        OptionChecks.AtLeast(1, MaxSteps ?? 1, nameof(MaxSteps));
        if (MaxTime is { } maxTime && maxTime <= TimeSpan.Zero)
            throw new ArgumentException($"{nameof(MaxTime)} is {maxTime}; it must be above 0.");
        OptionChecks.AtLeast(1, BatchSize ?? 1, nameof(BatchSize));
        OptionChecks.AtLeast(1, GradientAccumulation, nameof(GradientAccumulation));
        OptionChecks.Defined(Optimizer ?? default, nameof(Optimizer));
        OptionChecks.AtLeast(0, LearningRate ?? 0, nameof(LearningRate));
        OptionChecks.AtLeast(0, FinalLearningRate ?? 0, nameof(FinalLearningRate));
        OptionChecks.Defined(LearningRateDecay ?? default, nameof(LearningRateDecay));
        OptionChecks.AtLeast(0, WarmupSteps ?? 0, nameof(WarmupSteps));
        OptionChecks.Between(0, 1, WarmupFraction ?? 0, nameof(WarmupFraction));
        OptionChecks.Above(0, LayerDecay, nameof(LayerDecay));
        OptionChecks.Between(0, 1, LayerDecay, nameof(LayerDecay));
        OptionChecks.AtLeast(0, WeightDecay ?? 0, nameof(WeightDecay));
        if (NoWeightDecay is null || NoWeightDecay.Any(string.IsNullOrWhiteSpace))
            throw new ArgumentException(
                $"{nameof(NoWeightDecay)} is {(NoWeightDecay is null ? "null" : "a list with an empty name")}; it must be a list of "
                    + "names, or empty.");
        OptionChecks.AtLeastAndBelow(0, 1, Momentum, nameof(Momentum));
        if (Optimizer == OptimizerKind.Sgd && Nesterov && Momentum == 0)
            throw new ArgumentException($"{nameof(Nesterov)} is true and {nameof(Momentum)} is 0; it must be above 0 then.");
        OptionChecks.AtLeast(0, MuonLearningRate, nameof(MuonLearningRate));
        OptionChecks.AtLeastAndBelow(0, 1, MuonMomentum, nameof(MuonMomentum));
        if (Optimizer == OptimizerKind.Muon && LearningRate == 0)
            throw new ArgumentException(
                $"{nameof(LearningRate)} is 0 and {nameof(Optimizer)} {nameof(OptimizerKind.Muon)}, whose {nameof(MuonLearningRate)} rises "
                    + "and falls with it; it must be above 0 then.");
        OptionChecks.AtLeastAndBelow(0, 1, Beta1, nameof(Beta1));
        OptionChecks.AtLeastAndBelow(0, 1, Beta2, nameof(Beta2));
        OptionChecks.AtLeast(0, Epsilon, nameof(Epsilon));
        if (GradientClipNorm is { } clipNorm)
            OptionChecks.Above(0, clipNorm, nameof(GradientClipNorm));
        OptionChecks.AtLeastAndBelow(0, 1, EmaDecay ?? 0, nameof(EmaDecay));
        OptionChecks.AtLeastAndBelow(0, 1, LabelSmoothing ?? 0, nameof(LabelSmoothing));
        OptionChecks.AtLeast(0, BalanceLossWeight ?? 0, nameof(BalanceLossWeight));
        OptionChecks.Defined(Precision, nameof(Precision));
        OptionChecks.AtLeast(1, Threads ?? 1, nameof(Threads));
        OptionChecks.AtLeastAndBelow(0, 1, ValidationFraction, nameof(ValidationFraction));
        EarlyStopping?.Validate();
        OptionChecks.Defined(Monitor, nameof(Monitor));
        Checkpoints?.Validate();
        OptionChecks.Defined(OnCancellation, nameof(OnCancellation));
        OptionChecks.AtLeast(1, ProgressInterval, nameof(ProgressInterval));
    }

    /// <summary>
    /// The options that decide how weights change, those of a derived class included, by name: a training that is continued must have them
    /// all as they were. What says that it is <see cref="OutsideIdentityAttribute">outside</see> is left out.
    /// </summary>
    internal IReadOnlyDictionary<string, string> Describe() => GetType().GetProperties()
        .Where(IsInIdentity)
        .SelectMany(option => option.GetValue(this) is TrainingOptions inner
            ? inner.Describe().Select(pair => KeyValuePair.Create($"{option.Name}.{pair.Key}", pair.Value))
            : TrainingState.Describe(option.Name, option.GetValue(this)))
        .ToDictionary();

    /// <summary>Whether an option decides how weights change.</summary>
    internal virtual bool IsInIdentity(PropertyInfo option) =>
        option.CanWrite && option.GetCustomAttribute<OutsideIdentityAttribute>() is null;

    /// <summary>What would be chosen for options that are null; of several steps for one option the first counts.</summary>
    internal virtual IEnumerable<RecipeStep> Recipe
    {
        get
        {
            const string Usual = "usual";
            yield return new(nameof(Epochs), 10, Usual);
            yield return new(nameof(BatchSize), 32, Usual);
            yield return new(nameof(Optimizer), OptimizerKind.AdamW, Usual);
            yield return new(nameof(LearningRate), 1e-3, "usual with AdamW");
            yield return new(nameof(FinalLearningRate), 1e-5, Usual);
            yield return new(nameof(LearningRateDecay), Training.LearningRateDecay.Cosine, Usual);
            if (WarmupSteps is null)
                yield return new(nameof(WarmupFraction), 0.05, Usual);
            yield return new(nameof(WeightDecay), 0.05, Usual);
            yield return new(nameof(LabelSmoothing), 0.0, Usual);
        }
    }

    /// <summary>Chooses what is null and to be chosen.</summary>
    /// <returns>The choices that were made.</returns>
    internal IReadOnlyList<ChosenOption> Settle()
    {
        var chosen = new List<ChosenOption>();
        foreach (var (name, value, reason) in Recipe)
        {
            var option = GetType().GetProperty(name)!;
            if (option.GetValue(this) is not null)
                continue;
            option.SetValue(this, value);
            chosen.Add(new(name, string.Create(CultureInfo.InvariantCulture, $"{value}"), reason));
        }
        return chosen;
    }

    /// <summary>A copy with all choices made.</summary>
    internal TrainingOptions Settled()
    {
        var copy = Copy();
        copy.Settle();
        return copy;
    }

    /// <summary>A copy that later changes do not reach.</summary>
    internal virtual TrainingOptions Copy()
    {
        var copy = (TrainingOptions)MemberwiseClone();
        copy.NoWeightDecay = NoWeightDecay is null ? null! : [.. NoWeightDecay];   // null is refused by name
        return copy;
    }

    /// <summary>The learning rate by step. The options are settled.</summary>
    /// <param name="totalSteps">Updates of the whole training.</param>
    internal ILearningRateSchedule CreateSchedule(int totalSteps)
    {
        int warmup = WarmupSteps ?? (int)((WarmupFraction ?? 0) * totalSteps);
        var (highest, last) = (LearningRate!.Value, FinalLearningRate!.Value);
        return new WarmupSchedule(highest, Math.Min(last, highest), Math.Min(warmup, totalSteps), totalSteps, LearningRateDecay!.Value);
    }
}

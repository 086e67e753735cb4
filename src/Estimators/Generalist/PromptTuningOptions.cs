using System.Globalization;
using Microsoft.ML.MoE.Optimizers;
using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How <see cref="GeneralistTransformer.TunePrompts"/> suits a model to a task (Uni-Perceiver, arXiv 2112.01522, appendix C).
/// </summary>
public sealed class PromptTuningOptions : TrainingOptions
{
    /// <summary>
    /// <see cref="TrainingOptions.MaxSteps"/> is 200, and chosen are as many epochs as they take, a learning rate of 1e-2 (the paper's
    /// large models take 1e-3) and no weight decay, unless others are set. <see cref="TrainingOptions.Seed"/> is 0, so that a tuning
    /// repeats.
    /// </summary>
    public PromptTuningOptions() => (MaxSteps, Seed) = (200, 0);

    /// <summary>Prompt vectors of each block, at least 1. Default 10.</summary>
    public int Prompts { get; set; } = 10;

    /// <summary>
    /// Whether a classification gets a linear head that reads the representation of the input, mixed into the cosines with the names of the
    /// classes: α · cos(f(x), f(y)) / τ + W·f(x) + b. It starts at zero, with α = 1, so that it changes nothing at first. Default true.
    /// Without effect for other tasks.
    /// </summary>
    public bool ClassificationHead { get; set; } = true;

    /// <summary>Receives the progress; null (default) for nobody.</summary>
    [OutsideIdentity("reports change no weight")]
    public Action<TrainingProgress>? Progress { get; set; }

    /// <summary>Stops the training before its next batch, as <see cref="TrainingOptions.OnCancellation"/> says.</summary>
    [OutsideIdentity("a training that was cancelled is the same one")]
    public CancellationToken CancellationToken { get; set; }

    /// <summary>Those of the tuning first.</summary>
    internal override IEnumerable<RecipeStep> Recipe
    {
        get
        {
            const string Usual = "usual for prompts";
            if (MaxSteps is not null)
                yield return new(nameof(Epochs), int.MaxValue, $"{nameof(MaxSteps)} ends it");
            yield return new(nameof(LearningRate), 1e-2, Usual);
            yield return new(nameof(WeightDecay), 0.0, Usual);
            foreach (var step in base.Recipe)
                yield return step;
        }
    }

    /// <inheritdoc/>
    internal override void Validate()
    {
        base.Validate();
        OptionChecks.AtLeast(1, Prompts, nameof(Prompts));
        Refuse(Precision == Precision.BFloat16, nameof(Precision), Precision, "a generalist computes in float32");
        Refuse(Optimizer == OptimizerKind.Muon, nameof(Optimizer), Optimizer, "prompts are no matrices between hidden layers");
        Refuse(LayerDecay != 1, nameof(LayerDecay), LayerDecay, "a generalist does not tell its layers apart");
        Refuse(Checkpoints is not null, nameof(Checkpoints), Checkpoints?.Folder, "a tuning is so short that it is begun anew");
        const string NoValidation = "nothing is validated while prompts are tuned";
        Refuse(ValidationFraction != 0, nameof(ValidationFraction), ValidationFraction, NoValidation);
        Refuse(EarlyStopping is not null, nameof(EarlyStopping), EarlyStopping?.Patience, NoValidation);
        Refuse(Monitor != default, nameof(Monitor), Monitor, NoValidation);
        Refuse(!KeepBestWeights, nameof(KeepBestWeights), KeepBestWeights, NoValidation);

        static void Refuse(bool isSet, string name, object? value, string reason)
        {
            if (isSet)
                throw new ArgumentException(
                    string.Create(
                        CultureInfo.InvariantCulture, $"{name} of the prompts' training is {value}, but {reason}; leave it out."));
        }
    }

    /// <summary>A copy that later changes do not reach.</summary>
    internal override PromptTuningOptions Copy() => (PromptTuningOptions)base.Copy();
}

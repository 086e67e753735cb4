using Microsoft.ML.MoE.Runtime;
using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How <see cref="GeneralistTransformer.TunePrompts"/> suits a model to a task (Uni-Perceiver, arXiv 2112.01522, appendix C).
/// </summary>
public sealed record PromptTuningOptions
{
    /// <summary>Prompt vectors of each block, at least 1. Default 10.</summary>
    public int Prompts { get; init; } = 10;

    /// <summary>
    /// Whether a classification gets a linear head that reads the representation of the input, mixed into the cosines with the names of the
    /// classes: α · cos(f(x), f(y)) / τ + W·f(x) + b. It starts at zero, with α = 1, so that it changes nothing at first. Default true.
    /// Without effect for other tasks.
    /// </summary>
    public bool ClassificationHead { get; init; } = true;

    /// <summary>Steps of the training, at least 1. Default 200.</summary>
    public int Steps { get; init; } = 200;

    /// <summary>Examples of a step, at least 1. Default 32.</summary>
    public int BatchSize { get; init; } = 32;

    /// <summary>Highest learning rate, at least 0. Default 1e-2; the paper's large models take 1e-3.</summary>
    public double LearningRate { get; init; } = 1e-2;

    /// <summary>Limit on the norm of all gradients together, above 0; null for none. Default 1.</summary>
    public double? GradientClipNorm { get; init; } = 1;

    /// <summary>Seed of prompts and order. Default 0.</summary>
    public int Seed { get; init; }

    /// <summary>Receives the progress; null (default) for nobody.</summary>
    public Action<TrainingProgress>? Progress { get; init; }

    /// <summary>Stops the training with an <see cref="OperationCanceledException"/>.</summary>
    public CancellationToken CancellationToken { get; init; }

    internal TrainingOptions Training =>
        new()
        {
            Epochs = int.MaxValue,
            MaxSteps = Steps,
            LearningRate = LearningRate,
            WeightDecay = 0,
            GradientClipNorm = GradientClipNorm,
        };

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        OptionChecks.AtLeast(1, Prompts, nameof(Prompts));
        OptionChecks.AtLeast(1, Steps, nameof(Steps));
        OptionChecks.AtLeast(1, BatchSize, nameof(BatchSize));
        Training.Validate();
    }
}

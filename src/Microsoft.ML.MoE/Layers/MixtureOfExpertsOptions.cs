using Microsoft.ML.MoE.Routing;

namespace Microsoft.ML.MoE.Layers;

/// <summary>Options of a <see cref="MixtureOfExperts"/> layer.</summary>
public sealed record MixtureOfExpertsOptions
{
    /// <summary>How tokens choose experts.</summary>
    public TopKRouterOptions Router { get; init; } = new();

    /// <summary>Hidden width F of each expert.</summary>
    public int ExpertWidth { get; init; } = 4096;

    /// <summary>Limit of tokens per expert while training; null for none. Default: the paper's C = 1.2.</summary>
    public ExpertCapacity? TrainingCapacity { get; init; } = new();

    /// <summary>
    /// Limit of tokens per expert in evaluation; null (the default) for none. Counted within each item, an image or a text, so that an
    /// example's result does not depend on the others in its batch.
    /// </summary>
    public ExpertCapacity? EvaluationCapacity { get; init; }

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        Router.Validate();
        if (ExpertWidth < 1)
            throw new ArgumentException($"{nameof(ExpertWidth)} is {ExpertWidth}; it must be at least 1.");
        TrainingCapacity?.ValidateForTraining();
        EvaluationCapacity?.ValidateForEvaluation();
    }
}

using Microsoft.ML.MoE.Training;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What the summaries of all trainings tell.</summary>
public abstract record TrainingSummary
{
    private protected TrainingSummary()
    {
    }

    /// <summary>
    /// The options that decided the weights, by name, as they were used: what was chosen included. Empty for models that were saved before
    /// summaries had them.
    /// </summary>
    public IReadOnlyDictionary<string, string> Options { get; init; } = new Dictionary<string, string>();

    /// <summary>What was chosen because nobody gave a value, and why.</summary>
    public IReadOnlyList<ChosenOption> Chosen { get; init; } = [];
}

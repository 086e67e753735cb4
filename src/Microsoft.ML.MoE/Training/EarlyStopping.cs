using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Training;

/// <summary>Ends training when validation no longer improves.</summary>
public sealed record EarlyStopping
{
    /// <summary>How many epochs in a row may pass without improvement before training ends, at least 1. Default 5.</summary>
    public int Patience { get; init; } = 5;

    /// <summary>
    /// How much better the monitored quantity must be to count as an improvement, in its own unit, at least 0. Default 0: any.
    /// </summary>
    public double MinDelta { get; init; }

    internal void Validate()
    {
        OptionChecks.AtLeast(1, Patience, nameof(Patience));
        OptionChecks.AtLeast(0, MinDelta, nameof(MinDelta));
    }
}

using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Generation;

/// <summary>How the next token is chosen from its probabilities.</summary>
internal sealed record SamplingOptions
{
    /// <summary>The most probable token, always.</summary>
    public static SamplingOptions Greedy { get; } = new() { Temperature = 0 };

    /// <summary>
    /// Scores are divided by this before the softmax, at least 0: below 1 favours the probable, above 1 the rare, 0 takes the most probable
    /// always. Default 1.
    /// </summary>
    public double Temperature { get; init; } = 1;

    /// <summary>
    /// Only the most probable tokens come into question, this many, at least 1; null (default) for all. Fan et al., arXiv 1805.04833.
    /// </summary>
    public int? TopK { get; init; }

    /// <summary>
    /// Only the most probable tokens come into question, as few as have this probability together, above 0 to 1; null (default) for all.
    /// Holtzman et al., arXiv 1904.09751. Counted after
    /// <see cref="TopK"/>.
    /// </summary>
    public double? TopP { get; init; }

    /// <summary>
    /// What the scores of tokens that are there already are weakened by: positive ones are divided by it and negative ones multiplied, at
    /// least 1. Default 1: not at all. Keskar et al., CTRL, arXiv 1909.05858, section 4.1.
    /// </summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    public void Validate()
    {
        OptionChecks.AtLeast(0, Temperature, nameof(Temperature));
        OptionChecks.AtLeast(1, TopK ?? 1, nameof(TopK));
        if (TopP is { } topP && !(topP > 0 && topP <= 1))
            throw new ArgumentException($"{nameof(TopP)} is {topP}; it must be above 0 and at most 1.");
        OptionChecks.AtLeast(1, RepetitionPenalty, nameof(RepetitionPenalty));
    }
}

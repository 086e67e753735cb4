using Microsoft.ML.MoE.Generation;
using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a text is continued.</summary>
public sealed record GenerationOptions
{
    /// <summary>Tokens after which generation ends, at least 0. Default 200.</summary>
    public int MaxTokens { get; init; } = 200;

    /// <summary>
    /// Below 1 the probable tokens are favoured, above 1 the rare ones; 0 takes the most probable always. At least 0. Default 1.
    /// </summary>
    public double Temperature { get; init; } = 1;

    /// <summary>Only the most probable tokens come into question, this many, at least 1; null (default) for all.</summary>
    public int? TopK { get; init; }

    /// <summary>
    /// Only the most probable tokens come into question, as few as have this probability together, above 0 to 1; null (default) for all.
    /// </summary>
    public double? TopP { get; init; }

    /// <summary>What the scores of tokens that are there already are weakened by, at least 1. Default 1: not at all.</summary>
    public double RepetitionPenalty { get; init; } = 1;

    /// <summary>
    /// Where random numbers start: the same seed gives the same text. Null (default) for another text each time; a continuation column then
    /// takes 0, so that a row's text is always the same.
    /// </summary>
    public int? Seed { get; init; }

    /// <summary>Generation ends before the first of these texts, none of them empty. Default: none.</summary>
    public IReadOnlyList<string> StopStrings { get; init; } = [];

    internal SamplingOptions Sampling =>
        new() { Temperature = Temperature, TopK = TopK, TopP = TopP, RepetitionPenalty = RepetitionPenalty };

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        OptionChecks.AtLeast(0, MaxTokens, nameof(MaxTokens));
        Sampling.Validate();
        if (StopStrings is null || StopStrings.Any(string.IsNullOrEmpty))
            throw new ArgumentException($"{nameof(StopStrings)} has an empty text; each must have at least one character.");
    }
}

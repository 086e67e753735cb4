using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How texts are written and read where a model predicts them.</summary>
internal sealed record GeneralistPrediction
{
    /// <summary>Rows that are scored together.</summary>
    public required int BatchSize { get; init; }

    /// <summary>Beginnings that a search keeps.</summary>
    public required int Beams { get; init; }

    /// <summary>Tokens of a predicted text at most.</summary>
    public required int MostTokens { get; init; }

    /// <summary>What stands in a text for a word to be found.</summary>
    public required string Mask { get; init; }

    /// <summary>Part of the tokens that are masked where a masked language model is measured.</summary>
    public required double MaskedFraction { get; init; }

    /// <summary>Checks the numbers.</summary>
    /// <exception cref="ArgumentException">One is out of range; the message has the option's name.</exception>
    public void Validate()
    {
        OptionChecks.AtLeast(1, BatchSize, nameof(UniPerceiverGeneralist.Options.PredictionBatchSize));
        OptionChecks.AtLeast(1, Beams, nameof(UniPerceiverGeneralist.Options.Beams));
        OptionChecks.AtLeast(1, MostTokens, nameof(UniPerceiverGeneralist.Options.PredictedTextLength));
        OptionChecks.Above(0, MaskedFraction, nameof(UniPerceiverGeneralist.Options.MaskedFraction));
        OptionChecks.Between(0, 1, MaskedFraction, nameof(UniPerceiverGeneralist.Options.MaskedFraction));
        if (string.IsNullOrWhiteSpace(Mask))
            throw new ArgumentException($"{nameof(UniPerceiverGeneralist.Options.MaskText)} is '{Mask}'; it must not be empty.");
    }
}

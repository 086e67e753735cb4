namespace Microsoft.ML.MoE.Routing;

/// <summary>How many tokens each expert accepts, and which ones when more ask (WideNet, arXiv 2107.11817, section 3.2).</summary>
/// <param name="Factor">
/// Capacity factor C, at least 1 while training; the paper uses values in [1, 2], mostly 1.2. In evaluation it may be smaller, above 0: an
/// image's least important tokens are left out then, which saves time (V-MoE, arXiv 2106.05974, section 4, with
/// <see cref="CapacityPriority.LargestGate"/>).
/// </param>
/// <param name="Rule">The formula; <see cref="CapacityRule.EvenShare"/> by default.</param>
/// <param name="Priority">Who keeps a place; <see cref="CapacityPriority.TokenOrder"/> by default.</param>
public sealed record ExpertCapacity(
    double Factor = 1.2, CapacityRule Rule = CapacityRule.EvenShare, CapacityPriority Priority = CapacityPriority.TokenOrder)
{
    /// <summary>V-MoE's capacity while training: C = 1.05, rounded up, first choices before second ones.</summary>
    public static ExpertCapacity VMoe { get; } = new(1.05, CapacityRule.EvenShareRoundedUp, CapacityPriority.ChoiceOrder);

    // More than the roundings of C, two products and a quotient together, at most 2^-53 each: 1.15·1·400/4 must give 115 places, and
    // 114.99999999999999 would give 114.
    private const double Rounding = 1 + 1e-15;

    /// <summary>The number of (token, choice) pairs that one expert accepts, at least 1.</summary>
    /// <param name="tokens">Tokens T that share the places: of the whole batch while training, of an item in evaluation.</param>
    /// <param name="experts">Experts E.</param>
    /// <param name="expertsPerToken">Choices K per token.</param>
    public long Slots(long tokens, int experts, int expertsPerToken)
    {
        var pairs = Factor * expertsPerToken * tokens;
        var share = Rule == CapacityRule.Literal ? pairs : pairs / experts;
        return Math.Max(1, (long)(Rule == CapacityRule.EvenShareRoundedUp ? Math.Ceiling(share / Rounding) : Math.Floor(share * Rounding)));
    }

    /// <summary>Checks the values for training.</summary>
    /// <exception cref="ArgumentException">The factor is below 1 or not finite.</exception>
    internal void ValidateForTraining()
    {
        if (!(Factor >= 1) || double.IsInfinity(Factor))
            throw new ArgumentException($"The capacity factor is {Factor}; it must be a finite number of at least 1.");
    }

    /// <summary>Checks the values for evaluation.</summary>
    /// <exception cref="ArgumentException">The factor is not above 0 or not finite.</exception>
    internal void ValidateForEvaluation()
    {
        if (!(Factor > 0) || double.IsInfinity(Factor))
            throw new ArgumentException($"The capacity factor in evaluation is {Factor}; it must be a finite number above 0.");
    }
}

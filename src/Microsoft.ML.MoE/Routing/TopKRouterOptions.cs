namespace Microsoft.ML.MoE.Routing;

/// <summary>Options of a <see cref="TopKRouter"/>.</summary>
public sealed record TopKRouterOptions
{
    /// <summary>Number of experts E. Default 4.</summary>
    public int Experts { get; init; } = 4;

    /// <summary>Experts K that each token is sent to, 1 to E. Default 2.</summary>
    public int ExpertsPerToken { get; init; } = 2;

    /// <summary>
    /// Standard deviation of the exploration noise on the router's logits, as a multiple of 1/E. Training only. Default 1 (WideNet, section
    /// 3.2); 0 turns the noise off.
    /// </summary>
    public double NoiseScale { get; init; } = 1;

    /// <summary>
    /// Whether the gates of the chosen experts are divided by their sum, so that they sum to 1 (Uni-Perceiver-MoE). Default false.
    /// </summary>
    public bool RenormalizeGates { get; init; }

    /// <summary>The loss that keeps the experts evenly used. Default: WideNet's.</summary>
    public BalancingLoss BalancingLoss { get; init; }

    /// <summary>Checks the options.</summary>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate()
    {
        if (Experts < 1)
            throw new ArgumentException($"{nameof(Experts)} is {Experts}; it must be at least 1.");
        if (ExpertsPerToken < 1 || ExpertsPerToken > Experts)
            throw new ArgumentException(
                $"{nameof(ExpertsPerToken)} is {ExpertsPerToken}; it must be between 1 and {nameof(Experts)} ({Experts}).");
        if (!(NoiseScale >= 0) || double.IsInfinity(NoiseScale))
            throw new ArgumentException($"{nameof(NoiseScale)} is {NoiseScale}; it must be a finite number of at least 0.");
        if (!Enum.IsDefined(BalancingLoss))
            throw new ArgumentException(
                $"{nameof(BalancingLoss)} is {BalancingLoss}; it must be one of {string.Join(", ", Enum.GetNames<BalancingLoss>())}.");
    }
}

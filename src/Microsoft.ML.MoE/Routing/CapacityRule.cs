namespace Microsoft.ML.MoE.Routing;

/// <summary>
/// How many tokens an expert accepts in one forward pass (WideNet, arXiv 2107.11817, section 3.2; V-MoE, arXiv 2106.05974, section 2.2).
/// </summary>
public enum CapacityRule
{
    /// <summary>
    /// floor(C·K·T/E): the experts' even share of all (token, expert) pairs, times the capacity factor C. What the paper's released code
    /// does.
    /// </summary>
    EvenShare,

    /// <summary>
    /// floor(C·K·T), without dividing by the number of experts: the formula as the paper prints it. It can never drop a token, because at
    /// most T tokens choose an expert and C·K ≥ 1; it is here so that this can be checked.
    /// </summary>
    Literal,

    /// <summary>ceil(C·K·T/E): the even share rounded up, as in V-MoE's released code.</summary>
    EvenShareRoundedUp,
}

namespace Microsoft.ML.MoE.Routing;

/// <summary>Which tokens keep their place when more choose an expert than it accepts.</summary>
public enum CapacityPriority
{
    /// <summary>Tokens in the order of the batch; all choices of a token before those of the next (WideNet).</summary>
    TokenOrder,

    /// <summary>
    /// Batch Priority Routing: tokens by their largest gate, descending, and all first choices before all second choices (V-MoE, arXiv
    /// 2106.05974, section 4.1).
    /// </summary>
    LargestGate,

    /// <summary>
    /// All first choices before all second choices, each in the order of the batch (V-MoE without batch priority; GShard, arXiv
    /// 2006.16668).
    /// </summary>
    ChoiceOrder,
}

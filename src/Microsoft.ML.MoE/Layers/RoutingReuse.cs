namespace Microsoft.ML.MoE.Layers;

/// <summary>
/// What the later blocks of a routing group take over from its first (WideNet, arXiv 2107.11817, section 4.4: blocks of one group use the
/// same routing assignment). The paper does not say whether the gates are reused as well.
/// </summary>
public enum RoutingReuse
{
    /// <summary>The chosen experts and the gates: the router runs once a group.</summary>
    ExpertsAndGates,

    /// <summary>The chosen experts only: the router runs in every block to weight them.</summary>
    Experts,
}

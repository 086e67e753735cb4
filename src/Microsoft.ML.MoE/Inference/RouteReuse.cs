namespace Microsoft.ML.MoE.Inference;

/// <summary>What a mixture takes over from the one before.</summary>
internal enum RouteReuse
{
    /// <summary>Nothing: it routes.</summary>
    None,

    /// <summary>The chosen experts; it weighs them anew.</summary>
    Experts,

    /// <summary>The chosen experts and their weights.</summary>
    ExpertsAndGates,
}

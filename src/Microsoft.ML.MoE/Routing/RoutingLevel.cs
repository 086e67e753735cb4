namespace Microsoft.ML.MoE.Routing;

/// <summary>What decides which experts a token goes to (Uni-Perceiver-MoE, arXiv 2206.04674, section 4.2).</summary>
public enum RoutingLevel
{
    /// <summary>The token's attributes, those of its role: new tasks can be described with them.</summary>
    Attribute,

    /// <summary>The task.</summary>
    Task,

    /// <summary>The token's modality.</summary>
    Modality,

    /// <summary>The token itself.</summary>
    Token,

    /// <summary>The token itself and the mean of what it sees of its sequence.</summary>
    Context,
}

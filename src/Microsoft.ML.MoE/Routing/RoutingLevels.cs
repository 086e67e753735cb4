namespace Microsoft.ML.MoE.Routing;

/// <summary>What follows from a <see cref="RoutingLevel"/>.</summary>
internal static class RoutingLevels
{
    /// <summary>
    /// Whether the choice depends on the numbers in a token, so that it is another for every token and the chosen experts cannot be merged
    /// beforehand.
    /// </summary>
    /// <param name="level">The level.</param>
    public static bool DependsOnData(this RoutingLevel level) => level is RoutingLevel.Token or RoutingLevel.Context;
}

namespace Microsoft.ML.MoE.Estimators;

/// <summary>The part of the queries that have one of their own among the nearest.</summary>
/// <param name="At1">Whose nearest is one of theirs.</param>
/// <param name="At5">That have one of theirs among the nearest 5.</param>
/// <param name="At10">That have one of theirs among the nearest 10.</param>
public sealed record RetrievalRecall(double At1, double At5, double At10);

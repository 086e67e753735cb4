using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>How a model scores.</summary>
/// <param name="Precision">Type of its matrix products.</param>
/// <param name="BatchSize">Rows of one forward pass.</param>
internal sealed record ScoringSettings(Precision Precision, int BatchSize);

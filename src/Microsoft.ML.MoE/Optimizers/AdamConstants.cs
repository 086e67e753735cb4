namespace Microsoft.ML.MoE.Optimizers;

/// <summary>The constants of Adam, arXiv 1412.6980.</summary>
/// <param name="Beta1">Decay β1 of the first moment, 0 to below 1.</param>
/// <param name="Beta2">Decay β2 of the second moment, 0 to below 1.</param>
/// <param name="Epsilon">ε, added to the root of the second moment, at least 0.</param>
internal sealed record AdamConstants(double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8);

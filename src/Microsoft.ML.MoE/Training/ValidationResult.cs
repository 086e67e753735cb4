namespace Microsoft.ML.MoE.Training;

/// <summary>How a model does on a whole validation set.</summary>
/// <param name="Metric">The quality that the task is judged by.</param>
/// <param name="Loss">Mean loss, without label smoothing and auxiliary losses.</param>
/// <param name="MetricName">The name of the metric, for people.</param>
/// <param name="HigherIsBetter">Whether a higher metric is a better one.</param>
public sealed record ValidationResult(double Metric, double Loss, string MetricName, bool HigherIsBetter);

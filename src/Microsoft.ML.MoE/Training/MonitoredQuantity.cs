namespace Microsoft.ML.MoE.Training;

/// <summary>What decides which epoch is the best.</summary>
public enum MonitoredQuantity
{
    /// <summary><see cref="ValidationResult.Metric"/>, in its own direction.</summary>
    Metric,

    /// <summary><see cref="ValidationResult.Loss"/>; lower is better.</summary>
    Loss,
}

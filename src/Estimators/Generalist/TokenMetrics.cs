namespace Microsoft.ML.MoE.Estimators;

/// <summary>How well tokens are predicted.</summary>
/// <param name="Tokens">How many were asked for.</param>
/// <param name="Accuracy">The part of them that was the most probable.</param>
/// <param name="Loss">Minus the mean of the natural logarithms of their probabilities.</param>
public sealed record TokenMetrics(long Tokens, double Accuracy, double Loss)
{
    /// <summary>exp(<see cref="Loss"/>).</summary>
    public double Perplexity => Math.Exp(Loss);
}

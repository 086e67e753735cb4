namespace Estimators.Tests.Support;

/// <summary>What a prediction engine fills.</summary>
public sealed class Prediction
{
    public string? PredictedLabel { get; set; }

    public float[] Score { get; set; } = [];
}

namespace Estimators.Tests.Generalists;

/// <summary>What a prediction engine fills.</summary>
public sealed class ScoredRow
{
    public float[] Score { get; set; } = [];
}

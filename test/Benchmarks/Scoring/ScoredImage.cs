namespace Benchmarks.Scoring;

/// <summary>What a prediction engine fills.</summary>
internal sealed class ScoredImage
{
    public float[] Score { get; set; } = [];
}

using System.Diagnostics;
using Microsoft.ML.MoE.Training;

namespace Shakespeare;

/// <summary>Collects how a training goes: hand <see cref="Add"/> to its progress reports.</summary>
internal sealed class TrainingCurve
{
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly List<CurvePoint> points = [];

    /// <summary>A point for each report within an epoch, or at least one.</summary>
    public IReadOnlyList<CurvePoint> Points => points;

    /// <summary>Tokens per second, the median over the points.</summary>
    public double TokensPerSecond => points.Select(point => point.TokensPerSecond).Order().ElementAt(points.Count / 2);

    /// <summary>Takes a report in. That of a whole epoch, whose means overlap the others', counts only where there is no other.</summary>
    public void Add(TrainingProgress progress)
    {
        if (!progress.EpochCompleted || points.Count == 0)
            points.Add(new CurvePoint(progress.Step, clock.Elapsed.TotalSeconds, progress.Loss, progress.SamplesPerSecond));
    }
}

/// <summary>How a training stood.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Seconds">Time since the data were handed over.</param>
/// <param name="Loss">Mean training loss since the point before.</param>
/// <param name="TokensPerSecond">Speed since the point before.</param>
internal sealed record CurvePoint(int Step, double Seconds, double Loss, double TokensPerSecond);

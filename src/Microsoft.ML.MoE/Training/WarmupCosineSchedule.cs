// Linear warm-up, then half a cosine wave down to a final rate. SGDR without restarts, arXiv 1608.03983, equation 5; WideNet, arXiv 2107.11817, table 6.

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// The rate climbs in a straight line and reaches its peak at step W (0-based): peak · (s + 1) / (W + 1). From there it falls as
/// final + (peak − final) · (1 + cos(π · (s − W) / (S − W))) / 2 and stays at the final rate from step S on.
/// </summary>
public sealed class WarmupCosineSchedule : ILearningRateSchedule
{
    private readonly double peakRate;
    private readonly double finalRate;
    private readonly int warmupSteps;
    private readonly int totalSteps;

    /// <summary>Makes a schedule.</summary>
    /// <param name="peakRate">The highest rate, at least 0.</param>
    /// <param name="finalRate">The rate after the last step, at least 0.</param>
    /// <param name="warmupSteps">Steps W before the peak, from 0 to the total.</param>
    /// <param name="totalSteps">Steps S of the whole training, at least 1.</param>
    /// <exception cref="ArgumentException">A value is out of range.</exception>
    public WarmupCosineSchedule(double peakRate, double finalRate, int warmupSteps, int totalSteps)
    {
        OptionChecks.AtLeast(0, peakRate, nameof(peakRate));
        OptionChecks.AtLeast(0, finalRate, nameof(finalRate));
        OptionChecks.AtLeast(1, totalSteps, nameof(totalSteps));
        OptionChecks.Between(0, totalSteps, warmupSteps, nameof(warmupSteps));
        this.peakRate = peakRate;
        this.finalRate = finalRate;
        this.warmupSteps = warmupSteps;
        this.totalSteps = totalSteps;
    }

    /// <inheritdoc/>
    public double RateAt(int step)
    {
        if (step < warmupSteps)
            return peakRate * (step + 1) / (warmupSteps + 1);
        if (step >= totalSteps)
            return finalRate;

        double progress = (double)(step - warmupSteps) / (totalSteps - warmupSteps);
        return finalRate + ((peakRate - finalRate) * (1 + Math.Cos(Math.PI * progress)) / 2);
    }
}

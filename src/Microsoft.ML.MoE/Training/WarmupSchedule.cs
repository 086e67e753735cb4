// Linear warm-up, then a decay to a final rate. WideNet, arXiv 2107.11817, table 6, has the cosine.

using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// The rate climbs in a straight line and reaches its peak at step W (0-based): peak · (s + 1) / (W + 1). From there, with p = (s − W) / (S
/// − W), it is final + (peak − final) · f(p), where f is (1 + cos πp) / 2 for a cosine, 1 − p for a line and 1 for a constant rate, and
/// stays at what p = 1 gives from step S on.
/// </summary>
internal sealed class WarmupSchedule : ILearningRateSchedule
{
    private readonly double peakRate;
    private readonly double finalRate;
    private readonly int warmupSteps;
    private readonly int totalSteps;
    private readonly LearningRateDecay decay;

    /// <summary>Makes a schedule.</summary>
    /// <param name="peakRate">The highest rate, at least 0.</param>
    /// <param name="finalRate">The rate after the last step, at least 0.</param>
    /// <param name="warmupSteps">Steps W before the peak, from 0 to the total.</param>
    /// <param name="totalSteps">Steps S of the whole training, at least 1.</param>
    /// <param name="decay">The way from the peak to the final rate.</param>
    /// <exception cref="ArgumentException">A value is out of range.</exception>
    public WarmupSchedule(
        double peakRate, double finalRate, int warmupSteps, int totalSteps, LearningRateDecay decay = LearningRateDecay.Cosine)
    {
        OptionChecks.AtLeast(0, peakRate, nameof(peakRate));
        OptionChecks.AtLeast(0, finalRate, nameof(finalRate));
        OptionChecks.AtLeast(1, totalSteps, nameof(totalSteps));
        OptionChecks.Between(0, totalSteps, warmupSteps, nameof(warmupSteps));
        OptionChecks.Defined(decay, nameof(decay));
        this.peakRate = peakRate;
        this.finalRate = finalRate;
        this.warmupSteps = warmupSteps;
        this.totalSteps = totalSteps;
        this.decay = decay;
    }

    /// <inheritdoc/>
    public double RateAt(int step)
    {
        if (step < warmupSteps)
            return peakRate * (step + 1) / (warmupSteps + 1);
        var progress = step >= totalSteps ? 1 : (double)(step - warmupSteps) / (totalSteps - warmupSteps);
        return decay switch
        {
            LearningRateDecay.Linear => finalRate + ((peakRate - finalRate) * (1 - progress)),
            LearningRateDecay.Constant => peakRate,
            _ => finalRate + ((peakRate - finalRate) * (1 + Math.Cos(Math.PI * progress)) / 2),
        };
    }
}

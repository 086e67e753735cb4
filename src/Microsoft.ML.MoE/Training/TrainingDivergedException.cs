using System.Globalization;

namespace Microsoft.ML.MoE.Training;

/// <summary>
/// A loss or a gradient became NaN or infinite. No update was made from it: with clipping switched on, the module's weights are finite
/// still.
/// </summary>
public sealed class TrainingDivergedException : InvalidOperationException
{
    /// <summary>Describes what happened, and what to try.</summary>
    /// <param name="quantity">What is not finite, as the subject of a sentence: "The loss".</param>
    /// <param name="value">Its value.</param>
    /// <param name="step">The update, from 1.</param>
    /// <param name="learningRate">The learning rate of that update.</param>
    public TrainingDivergedException(string quantity, double value, int step, double learningRate)
        : base(
            string.Create(
                CultureInfo.InvariantCulture,
                $"{quantity} became {(double.IsNaN(value) ? "NaN" : "infinite")} at step {step}, where the learning rate was "
                    + $"{learningRate:g3}. "
                    + $"Try a lower {nameof(TrainingOptions.LearningRate)}, a longer warm-up ({nameof(TrainingOptions.WarmupFraction)} or "
                    + $"{nameof(TrainingOptions.WarmupSteps)}), "
                    + $"a lower {nameof(TrainingOptions.GradientClipNorm)} or float32 precision, and look for NaN, infinite or very large "
                    + $"values in the inputs."))
    {
        Step = step;
        LearningRate = learningRate;
        Value = value;
    }

    /// <summary>The update, from 1, that was not made.</summary>
    public int Step { get; }

    /// <summary>The learning rate of that update.</summary>
    public double LearningRate { get; }

    /// <summary>The value: NaN or an infinity.</summary>
    public double Value { get; }
}

using System.Globalization;
using Microsoft.ML.MoE.Routing;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What trainings of all kinds say in <see cref="MLContext.Log"/>.</summary>
internal static class TrainingReports
{
    private const int MostExpertsReported = 1024;   // of many thousand experts the least and the most used tell nothing

    /// <summary>Says a line.</summary>
    public static void Say(this IChannel channel, string line) => channel.Info(MessageSensitivity.None, line);

    /// <summary>How a training stands.</summary>
    /// <param name="what">What it is, at the start of the sentence.</param>
    /// <param name="progress">How it stands.</param>
    /// <param name="samples">What it counts, such as "images".</param>
    public static string Describe(string what, TrainingProgress progress, string samples)
    {
        var step = progress.EpochCompleted
            ? ""
            : string.Create(CultureInfo.InvariantCulture, $", step {progress.Step:n0}/{progress.TotalSteps:n0}");
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{what} {progress.Epoch}/{progress.TotalEpochs}{step}: loss {progress.Loss:0.0000}"
                + $"{Describe(progress.AuxiliaryLoss, progress.ExpertLoad)}{Describe(progress.Validation)}, "
                + $"{progress.SamplesPerSecond:n0} {samples}/s, learning rate {progress.LearningRate:0.0e0}.");
    }

    /// <summary>How a training ended.</summary>
    public static string Describe(TrainingResult result)
    {
        var end = string.Create(
            CultureInfo.InvariantCulture,
            $"Training ended after {result.Epochs.Count} epochs and {result.Steps:n0} steps ({result.StopReason}).");
        return result.BestEpoch is { } best
            ? string.Create(
                CultureInfo.InvariantCulture,
                $"{end} The best was epoch "
                    + $"{best.Epoch}{Describe(best.Validation)}{(result.BestWeightsRestored ? "; the model has its weights" : "")}.")
            : end;
    }

    // With a comma before it; nothing where there was none.
    private static string Describe(ValidationResult? validation) => validation is null ? "" : string.Create(
        CultureInfo.InvariantCulture, $", validation {validation.MetricName} {validation.Metric:0.0000} and loss {validation.Loss:0.0000}");

    private static string Describe(double balanceLoss, IReadOnlyList<ExpertLoad>? load)
    {
        var balance =
            load is { Count: > 0 } || balanceLoss != 0
                ? string.Create(CultureInfo.InvariantCulture, $", balance loss {balanceLoss:0.0000}")
                : "";
        return load is not { Count: > 0 } || load.Max(layer => layer.Counts.Count) > MostExpertsReported
            ? balance
            : string.Create(
                CultureInfo.InvariantCulture,
                $"{balance}, expert load {load.Min(layer => layer.Fractions.Min()):P0} to {load.Max(layer => layer.Fractions.Max()):P0} "
                    + $"with {load.Average(layer => layer.DroppedFraction):P1} dropped");
    }
}

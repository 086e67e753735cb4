using System.Globalization;
using Microsoft.ML.MoE.Training;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What trainings of all kinds say in <see cref="MLContext.Log"/>.</summary>
internal static class TrainingReports
{
    /// <summary>Says a line.</summary>
    public static void Say(this IChannel channel, string line) => channel.Info(MessageSensitivity.None, line);

    /// <summary>The validation of an epoch, with a comma before it; nothing where there was none.</summary>
    public static string Describe(ValidationResult? validation) =>
        validation is null ? "" : string.Create(CultureInfo.InvariantCulture, $", validation {validation.MetricName} {validation.Metric:0.0000} and loss {validation.Loss:0.0000}");

    /// <summary>How a training ended.</summary>
    public static string Describe(TrainingResult result)
    {
        var end = string.Create(CultureInfo.InvariantCulture, $"Training ended after {result.Epochs.Count} epochs and {result.Steps:n0} steps ({result.StopReason}).");
        return result.BestEpoch is { } best
            ? string.Create(CultureInfo.InvariantCulture, $"{end} The best was epoch {best.Epoch}{Describe(best.Validation)}{(result.BestWeightsRestored ? "; the model has its weights" : "")}.")
            : end;
    }
}

using System.Globalization;
using Microsoft.ML.MoE.Training;
using Spectre.Console;

namespace Samples;

/// <summary>Shows how training goes: a bar that moves and a line for each epoch; only the lines where the output is redirected.</summary>
internal static class TrainingDisplay
{
    /// <summary>Runs a training that reports its progress.</summary>
    /// <param name="train">Trains; hands what it is given to the trainer's options.</param>
    /// <param name="samples">What the model is trained on.</param>
    public static TModel Show<TModel>(Func<Action<TrainingProgress>, TModel> train, string samples = "images")
    {
        if (Console.IsOutputRedirected)
            return train(progress => WriteEpoch(progress, samples, Console.WriteLine));

        return AnsiConsole.Progress()
            .AutoClear(true)
            .Columns(new TaskDescriptionColumn(), new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(context =>
            {
                var bar = context.AddTask("starting");
                return train(progress =>
                {
                    bar.MaxValue = progress.TotalSteps;
                    bar.Value = progress.Step;
                    bar.Description = string.Create(
                        CultureInfo.InvariantCulture,
                        $"epoch {progress.Epoch}/{progress.TotalEpochs}  loss {progress.Loss:F3}  {progress.SamplesPerSecond:F0}/s");
                    WriteEpoch(progress, samples, AnsiConsole.WriteLine);
                });
            });
    }

    private static void WriteEpoch(TrainingProgress progress, string samples, Action<string> write)
    {
        if (!progress.EpochCompleted)
            return;

        var line = string.Create(
            CultureInfo.InvariantCulture,
            $"epoch {progress.Epoch}/{progress.TotalEpochs}  loss {progress.Loss:F4}  balance {progress.AuxiliaryLoss:F4}  learning rate "
                + $"{progress.LearningRate:G3}  {progress.SamplesPerSecond:F0} {samples}/s");
        if (progress.ExpertLoad is { Count: > 0 } load)
        {
            line += string.Create(
                CultureInfo.InvariantCulture,
                $"  expert load {load.Min(layer => layer.Fractions.Min()):P0} to {load.Max(layer => layer.Fractions.Max()):P0}, dropped "
                    + $"{load.Average(layer => layer.DroppedFraction):P1}");
        }
        if (progress.Validation is { } validation)
            line += string.Create(CultureInfo.InvariantCulture, $"  validation {validation.MetricName} {validation.Metric:F4}");
        write(line);
    }
}

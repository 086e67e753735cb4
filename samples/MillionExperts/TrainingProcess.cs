using System.CommandLine;
using System.Diagnostics;
using System.Text.Json;
using Samples;

namespace MillionExperts;

/// <summary>
/// Gives each training, and each loading, a process of its own: its peak memory is then its own, and all of it is free before the next.
/// </summary>
internal static class TrainingProcess
{
    private const string TrainCommand = "train";
    private const string LoadCommand = "load";

    /// <summary>Trains in a new process.</summary>
    /// <param name="training">What to train.</param>
    /// <returns>What it gave.</returns>
    /// <exception cref="IOException">The process ended without a result; it has said why, unless the system ended it.</exception>
    public static TrainedExperts Train(Training training) =>
        Start<TrainedExperts>(
            FormattableString.Invariant($"The training of {training.Experts:N0} experts"),
            [
                TrainCommand,
                FormattableString.Invariant($"{training.Experts}"),
                $"{training.QueryBatchNorm}",
                FormattableString.Invariant($"{training.Steps}"),
                training.File,
                .. training.SaveAs is { } zip ? [zip] : Array.Empty<string>(),
            ]);

    /// <summary>Loads a model in a new process and measures it again.</summary>
    /// <param name="zip">The model.</param>
    /// <param name="file">The text it is measured on.</param>
    /// <exception cref="IOException">The process ended without a result.</exception>
    public static StoredModel Load(string zip, string file) => Start<StoredModel>($"The loading of '{zip}'", [LoadCommand, zip, file]);

    /// <summary>
    /// What <see cref="Train"/> starts a process for. The result goes to standard output as JSON, all else to standard error.
    /// </summary>
    public static Command CreateTrainCommand()
    {
        var (experts, batchNorm, steps) = (new Argument<int>("experts"), new Argument<bool>("batch-norm"), new Argument<int>("steps"));
        var (file, zip) = (new Argument<string>("file"), new Argument<string?>("zip") { Arity = ArgumentArity.ZeroOrOne });
        var command = new Command(TrainCommand) { experts, batchNorm, steps, file, zip };
        command.Hidden = true;
        command.SetAction(line =>
            Answer(() =>
                new Training(
                    line.GetValue(experts),
                    line.GetValue(batchNorm),
                    line.GetValue(steps),
                    line.GetRequiredValue(file),
                    line.GetValue(zip)
                ).Run(Console.Error.WriteLine)));
        return command;
    }

    /// <summary>What <see cref="Load"/> starts a process for, in the same way.</summary>
    public static Command CreateLoadCommand()
    {
        var (zip, file) = (new Argument<string>("zip"), new Argument<string>("file"));
        var command = new Command(LoadCommand) { zip, file };
        command.Hidden = true;
        command.SetAction(line => Answer(() => StoredModel.Load(line.GetRequiredValue(zip), line.GetRequiredValue(file))));
        return command;
    }

    private static T Start<T>(string what, string[] arguments)
    {
        var start = SameProgram.With(Environment.ProcessPath!, typeof(TrainingProcess).Assembly.Location, arguments);
        start.RedirectStandardOutput = true;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize<T>(output)!
            : throw new IOException(FormattableString.Invariant($"{what} ended without a result (exit code {process.ExitCode})."));
    }

    private static int Answer<T>(Func<T> work)
    {
        try
        {
            Console.WriteLine(JsonSerializer.Serialize(work()));
            return 0;
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or IOException)
        {
            Console.Error.WriteLine(e.Message);   // too little memory, no perfect square, an empty text
            return 1;
        }
    }
}

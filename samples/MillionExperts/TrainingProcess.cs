using System.Diagnostics;
using System.Text.Json;
using Samples;

namespace MillionExperts;

/// <summary>Gives each training a process of its own: its peak memory is then its own, and all of it is free before the next.</summary>
internal static class TrainingProcess
{
    /// <summary>Trains in a new process.</summary>
    /// <param name="training">What to train.</param>
    /// <returns>What it gave.</returns>
    /// <exception cref="IOException">The process ended without a result; it has said why, unless the system ended it.</exception>
    public static TrainedExperts Start(Training training)
    {
        var start = SameProgram.With(
            Environment.ProcessPath!, typeof(TrainingProcess).Assembly.Location,
            "--train", FormattableString.Invariant($"{training.Experts}"), $"{training.QueryBatchNorm}", FormattableString.Invariant($"{training.Steps}"), training.File);
        start.RedirectStandardOutput = true;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize<TrainedExperts>(output)!
            : throw new IOException(FormattableString.Invariant($"The training of {training.Experts:N0} experts ended without a result (exit code {process.ExitCode})."));
    }

    /// <summary>What that process does: its result goes to standard output as JSON, all else to standard error.</summary>
    /// <returns>The process's exit code.</returns>
    public static int Run(Training training)
    {
        try
        {
            Console.WriteLine(JsonSerializer.Serialize(training.Run(Console.Error.WriteLine)));
            return 0;
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or IOException)
        {
            Console.Error.WriteLine(e.Message);   // too little memory, no perfect square, an empty text
            return 1;
        }
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Samples;

namespace MillionExperts;

/// <summary>Gives each training, and each loading, a process of its own: its peak memory is then its own, and all of it is free before the next.</summary>
internal static class TrainingProcess
{
    private const string TrainArgument = "--train";
    private const string LoadArgument = "--load";

    /// <summary>Trains in a new process.</summary>
    /// <param name="training">What to train.</param>
    /// <returns>What it gave.</returns>
    /// <exception cref="IOException">The process ended without a result; it has said why, unless the system ended it.</exception>
    public static TrainedExperts Train(Training training) => Start<TrainedExperts>(
        FormattableString.Invariant($"The training of {training.Experts:N0} experts"),
        [TrainArgument, FormattableString.Invariant($"{training.Experts}"), $"{training.QueryBatchNorm}", FormattableString.Invariant($"{training.Steps}"), training.File, .. training.SaveAs is { } zip ? [zip] : Array.Empty<string>()]);

    /// <summary>Loads a model in a new process and measures it again.</summary>
    /// <param name="zip">The model.</param>
    /// <param name="file">The text it is measured on.</param>
    /// <exception cref="IOException">The process ended without a result.</exception>
    public static StoredModel Load(string zip, string file) => Start<StoredModel>($"The loading of '{zip}'", [LoadArgument, zip, file]);

    /// <summary>Does what <see cref="Train"/> or <see cref="Load"/> has started this process for: the result goes to standard output as JSON, all else to standard error.</summary>
    /// <param name="arguments">The process's arguments.</param>
    /// <returns>The process's exit code; null where it was not started for that.</returns>
    public static int? Serve(string[] arguments) => arguments switch
    {
        [TrainArgument, var experts, var batchNorm, var steps, var file, .. var rest] => Answer(() => new Training(
            int.Parse(experts, CultureInfo.InvariantCulture), bool.Parse(batchNorm), int.Parse(steps, CultureInfo.InvariantCulture), file, rest.FirstOrDefault()).Run(Console.Error.WriteLine)),
        [LoadArgument, var zip, var file] => Answer(() => StoredModel.Load(zip, file)),
        _ => null,
    };

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

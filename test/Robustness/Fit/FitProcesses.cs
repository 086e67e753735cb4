using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace Robustness.Fit;

/// <summary>
/// Several processes side by side that train under stress, each with a youngest generation so small that the collector runs thousands
/// of times a second.
/// </summary>
internal static class FitProcesses
{
    /// <summary>The hidden command of such a process.</summary>
    public const string Worker = "fit-worker";

    private const int MostCrashes = 100;   // of a process; one that cannot even start would be started again without an end
    private const string YoungestGeneration = "40000";   // bytes, hexadecimal: 256 KB

    /// <summary>Runs them and adds up what they report. One that ends before its time is counted and started again.</summary>
    /// <param name="processes">How many.</param>
    /// <param name="fits">Trainings, all processes together.</param>
    /// <param name="minutes">Time limit.</param>
    /// <returns>A report for each kind of training, and the exit codes of processes that ended otherwise than they should.</returns>
    public static async Task<(IReadOnlyList<FitReport> Reports, IReadOnlyList<int> Crashes)> Run(int processes, int fits, double minutes)
    {
        var clock = Stopwatch.StartNew();
        var rounds = (int)Math.Ceiling((double)fits / processes / TinyFit.All.Count);
        var (reports, crashes) = (new ConcurrentBag<FitReport>(), new ConcurrentBag<int>());
        await Task.WhenAll(Enumerable.Range(0, processes).Select(async _ =>
        {
            for (var (done, tries) = (0, 0); done < rounds && tries <= MostCrashes && clock.Elapsed.TotalMinutes < minutes; tries++)
            {
                using var process = Start(rounds - done, minutes - clock.Elapsed.TotalMinutes);
                while (await process.StandardOutput.ReadLineAsync() is { } line)
                {
                    done++;
                    foreach (var report in JsonSerializer.Deserialize<FitReport[]>(line)!)
                        reports.Add(report);
                }
                await process.WaitForExitAsync();
                if (process.ExitCode != 0)
                    crashes.Add(process.ExitCode);
                else
                    break;   // its time is over
            }
        }));
        return (FitReport.ByName(reports), [.. crashes]);
    }

    /// <summary>What such a process does: trains, and writes a line of JSON for each round.</summary>
    public static int Work(int rounds, double minutes)
    {
        var clock = Stopwatch.StartNew();
        _ = Task.Run(() =>
        {
            while (Console.In.Read() >= 0)
            {
            }
            Environment.Exit(1);   // whoever started this is gone
        });
        using var pressure = new AllocationPressure(2, collect: false);
        for (var round = 0; round < rounds && clock.Elapsed.TotalMinutes < minutes; round++)
            Console.WriteLine(JsonSerializer.Serialize(FitStress.Round()));
        return 0;
    }

    private static Process Start(int rounds, double minutes)
    {
        string[] arguments =
        [
            "exec",
            typeof(FitProcesses).Assembly.Location,
            Worker,
            rounds.ToString(CultureInfo.InvariantCulture),
            minutes.ToString(CultureInfo.InvariantCulture),
        ];
        var start = new ProcessStartInfo("dotnet", arguments) { RedirectStandardInput = true, RedirectStandardOutput = true };
        start.Environment["DOTNET_GCgen0size"] = YoungestGeneration;
        return Process.Start(start)!;
    }
}

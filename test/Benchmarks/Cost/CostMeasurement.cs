using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using Benchmarks.Experts;
using Microsoft.ML.MoE.Runtime;
using Samples;
using static TorchSharp.torch;

namespace Benchmarks.Cost;

/// <summary>
/// Time and memory of the sparse layer over the number of experts and of tokens, float32. Every size is measured in a process of its own:
/// freed memory stays with a process, so that only a fresh one shows what a step takes. There are two experts at least, since each token
/// goes to two.
/// </summary>
internal static class CostMeasurement
{
    private const string CostCommand = "cost-of";
    private const int Samples = 5;
    private const int WarmUpSteps = 10;
    private static readonly TimeSpan LongestWarmUp = TimeSpan.FromSeconds(15);

    private static readonly int[] Experts = [2, 4, 8, 16, 32, 64, 128, 256];
    private static readonly int[] Tokens = [256, 1024, 4096, 16_384, 65_536];

    /// <summary>Measures every size and reports each as it is done.</summary>
    public static IReadOnlyList<CostPoint> Run(Action<CostPoint> report)
    {
        var standard = ExpertsWork.Standard;
        var sizes = Experts
            .Select(experts => (experts, standard.Tokens))
            .Concat(Tokens.Select(tokens => (standard.Experts, tokens)))
            .Distinct();
        var points = new List<CostPoint>();
        foreach (var (experts, tokens) in sizes)
        {
            points.Add(InOwnProcess(experts, tokens));
            report(points[^1]);
        }

        return points;
    }

    /// <summary>What a process for one size is started for: writes its measurement to standard output as JSON.</summary>
    public static Command CreateCommand()
    {
        var (experts, tokens) = (new Argument<int>("experts"), new Argument<int>("tokens"));
        var command = new Command(CostCommand) { experts, tokens };
        command.Hidden = true;
        command.SetAction(line =>
        {
            TorchRuntime.Initialize();
            Console.WriteLine(JsonSerializer.Serialize(Measure(line.GetValue(experts), line.GetValue(tokens)), JsonFormat.Options));
        });
        return command;
    }

    /// <summary>Measures one size in this process.</summary>
    public static CostPoint Measure(int experts, int tokens)
    {
        var work = ExpertsWork.Standard with { Experts = experts, Tokens = tokens };
        using var layer = work.Layer(ScalarType.Float32);
        using var step = LayerStep.Of(layer, work);
        var before = Environment.WorkingSet;
        WarmUp(step);
        var times = new double[Samples];
        for (var i = 0; i < Samples; i++)
        {
            var start = Stopwatch.GetTimestamp();
            step.Run();
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        using var process = Process.GetCurrentProcess();
        var weights = layer.parameters().Sum(parameter => parameter.numel() * parameter.element_size());
        var median = BenchmarkRunner.Median(times);
        return new CostPoint(
            experts,
            tokens,
            Math.Round(median, 2),
            Math.Round(median * 1000 / tokens, 2),
            Math.Round(weights / 1e6, 1),
            Math.Round((process.PeakWorkingSet64 - before) / 1e6, 1));
    }

    // The first steps find no freed memory to use again, and the heap grows until large blocks fit into it however they fall.
    private static void WarmUp(LayerStep step)
    {
        var start = Stopwatch.GetTimestamp();
        for (var i = 0; i < WarmUpSteps && Stopwatch.GetElapsedTime(start) < LongestWarmUp; i++)
            step.Run();
    }

    private static CostPoint InOwnProcess(int experts, int tokens)
    {
        string[] arguments = [CostCommand, experts.ToString(CultureInfo.InvariantCulture), tokens.ToString(CultureInfo.InvariantCulture)];
        var start = SameProgram.With(Environment.ProcessPath!, typeof(CostMeasurement).Assembly.Location, arguments);
        start.RedirectStandardOutput = true;
        using var process = Process.Start(start)!;
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? JsonSerializer.Deserialize<CostPoint>(output, JsonFormat.Options)!
            : throw new InvalidOperationException($"The process for {experts} experts and {tokens} tokens ended with {process.ExitCode}.");
    }
}

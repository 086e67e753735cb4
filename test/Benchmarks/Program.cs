using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Benchmarks;
using Benchmarks.Cost;
using Benchmarks.Device;
using Benchmarks.Roofline;
using Microsoft.ML.MoE.Runtime;
using Samples;
using TorchSharp;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;

var filter = new Argument<string?>("filter")
{
    Description = "Part of the names of the benchmarks to run; all if it is left out.",
    Arity = ArgumentArity.ZeroOrOne,
};
var json = new Option<FileInfo?>("--json") { Description = "File that the results are written to.", HelpName = "FILE" };
var csv = new Option<FileInfo?>("--csv") { Description = "The same as a table, a row for each benchmark or size.", HelpName = "FILE" };
var check = new Option<bool>("--check") { Description = "Only checks that the fast paths compute what their baselines compute." };
var list = new Option<bool>("--list") { Description = "Only lists the names." };
var cost = new Option<bool>("--cost") { Description = "Measures the sparse layer over the numbers of experts and tokens instead." };
var processorTime = new Option<bool>("--processor-time")
{
    Description = "Counts the processor's time instead of the clock's: for one thread (OMP_NUM_THREADS=1), where other programs run too.",
};
var command = new RootCommand("Fast paths against their baselines.")
{
    filter,
    json,
    csv,
    check,
    list,
    cost,
    processorTime,
    CostMeasurement.CreateCommand(),
    DeviceCommand.Create(json),
    RooflineCommand.Create(json, csv),
};
command.SetAction(line =>
    Run(
        line.GetValue(filter),
        line.GetValue(json),
        line.GetValue(csv),
        line.GetValue(check),
        line.GetValue(list),
        line.GetValue(cost),
        line.GetValue(processorTime)));
return command.Parse(args).Invoke();

static int Run(string? filter, FileInfo? jsonFile, FileInfo? csvFile, bool checkOnly, bool list, bool cost, bool processorTime)
{
    var selected = BenchmarkCatalog.Select(filter);
    if (list || selected.Count == 0)
    {
        if (!list)
            Console.Error.WriteLine($"No benchmark has '{filter}' in its name. There are:");
        foreach (var benchmark in BenchmarkCatalog.All)
            Console.WriteLine(benchmark.Name);
        return list ? 0 : 2;
    }

    TorchRuntime.Initialize();
    Console.WriteLine(MachineDescription.Describe());
    Console.WriteLine();
    if (cost)
    {
        Console.WriteLine($"{"experts",8} {"tokens",8} {"ms a step",10} {"µs a token",11} {"weights MB",11} {"a step takes MB",16}");
        var points = CostMeasurement.Run(p =>
            Console.WriteLine(
                $"{p.Experts,8} {p.Tokens,8} {p.StepMs,10:F1} {p.MicrosecondsPerToken,11:F1} {p.WeightMegabytes,11:F0} "
                    + $"{p.StepMegabytes,16:F0}"));
        Write(points, point => point.ToRow());
        return 0;
    }

    var clock = new WorkClock(processorTime);
    var limits = checkOnly ? null : RooflineMeasurement.RunShort(clock);
    if (limits is not null)
    {
        var each = limits.ToLimits().Select(limit => $"{limit.Name} {limit.Value:F0} {limit.Unit}");
        Console.WriteLine($"limits     {string.Join(", ", each)}");
        Console.WriteLine();
        Console.WriteLine(ResultsTable.Header);
    }

    var results = new List<BenchmarkResult>();
    var failures = 0;
    foreach (var benchmark in selected)
    {
        if (benchmark.Precision == "bfloat16" && Precision.Auto.Resolve(torch.CPU) != torch.ScalarType.BFloat16)
        {
            Console.WriteLine($"{benchmark.Name,-36} left out: without instructions for bfloat16, a product takes minutes");
            continue;
        }

        try
        {
            if (limits is null)
            {
                BenchmarkRunner.Check(benchmark);
                Console.WriteLine($"{benchmark.Name,-36} same results");
                continue;
            }

            var result = BenchmarkRunner.Run(benchmark, limits, clock);
            results.Add(result);
            Console.WriteLine(ResultsTable.Line(result));
        }
        catch (BenchmarkCheckException e)
        {
            failures++;
            Console.WriteLine($"{benchmark.Name,-36} other results than the baseline, not timed: {e.Message}");
        }
    }

    Write(results, result => result.ToRow());
    return failures == 0 ? 0 : 1;

    void Write<T>(IReadOnlyList<T> values, Func<T, IEnumerable<(string, object?)>> toRow)
    {
        if (jsonFile is not null)
            File.WriteAllText(jsonFile.FullName, JsonSerializer.Serialize(values, JsonFormat.Options) + "\n");
        if (csvFile is not null)
            Csv.Write(csvFile.FullName, values.Select(toRow));
    }
}

using System.Globalization;
using System.Text.Json;
using Benchmarks;
using Benchmarks.Cost;
using Microsoft.ML.MoE.Runtime;
using TorchSharp;

CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;

CommandLine line;
try
{
    line = CommandLine.Parse(args);
}
catch (ArgumentException e)
{
    Console.Error.WriteLine(e.Message);
    Console.Error.WriteLine(CommandLine.Usage);
    return 2;
}

var selected = BenchmarkCatalog.Select(line.Filter);
if (line.List || selected.Count == 0)
{
    if (!line.List)
        Console.Error.WriteLine($"No benchmark has '{line.Filter}' in its name. There are:");
    foreach (var benchmark in BenchmarkCatalog.All)
        Console.WriteLine(benchmark.Name);
    return line.List ? 0 : 2;
}

TorchRuntime.Initialize();
if (line.CostOf is { } size)
{
    Console.WriteLine(JsonSerializer.Serialize(CostMeasurement.Measure(size.Experts, size.Tokens), JsonFormat.Options));
    return 0;
}

Console.WriteLine(MachineDescription.Describe());
Console.WriteLine();
if (line.Cost)
{
    Console.WriteLine($"{"experts",8} {"tokens",8} {"ms a step",10} {"µs a token",11} {"weights MB",11} {"a step takes MB",16}");
    var points = CostMeasurement.Run(p => Console.WriteLine($"{p.Experts,8} {p.Tokens,8} {p.StepMs,10:F1} {p.MicrosecondsPerToken,11:F1} {p.WeightMegabytes,11:F0} {p.StepMegabytes,16:F0}"));
    Write(points);
    return 0;
}

Console.WriteLine($"{"benchmark",-36} {"ratio",8} {"target",8} {"ours ms",11} {"baseline ms",12}  {"precision",-9} baseline");

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
        if (line.CheckOnly)
        {
            BenchmarkRunner.Check(benchmark);
            Console.WriteLine($"{benchmark.Name,-36} same results");
            continue;
        }

        var result = BenchmarkRunner.Run(benchmark);
        results.Add(result);
        Console.WriteLine($"{result.Name,-36} {result.Ratio,8:F2} {benchmark.Target,8:F2} {result.OursMs,11:F3} {result.BaselineMs,12:F3}  {result.Precision,-9} {result.Baseline}");
    }
    catch (BenchmarkCheckException e)
    {
        failures++;
        Console.WriteLine($"{benchmark.Name,-36} other results than the baseline, not timed: {e.Message}");
    }
}

Write(results);
return failures == 0 ? 0 : 1;

void Write<T>(T values)
{
    if (line.JsonFile is { } file)
        File.WriteAllText(file, JsonSerializer.Serialize(values, JsonFormat.Options) + "\n");
}

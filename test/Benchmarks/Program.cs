using System.Globalization;
using System.Text.Json;
using Benchmarks;
using Microsoft.ML.MoE.Runtime;

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
Console.WriteLine(MachineDescription.Describe());
Console.WriteLine();
Console.WriteLine($"{"benchmark",-36} {"ratio",8} {"target",8} {"ours ms",11} {"baseline ms",12}  {"precision",-9} baseline");

var results = new List<BenchmarkResult>();
var failures = 0;
foreach (var benchmark in selected)
{
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

if (line.JsonFile is { } file)
    File.WriteAllText(file, JsonSerializer.Serialize(results, JsonFormat.Options) + "\n");
return failures == 0 ? 0 : 1;

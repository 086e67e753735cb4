using System.Globalization;

namespace Benchmarks;

/// <summary>The results as lines of text, each written when it is known: a run takes minutes.</summary>
internal static class ResultsTable
{
    public static string Header { get; } =
        $"{"benchmark",-36} {"ratio",7} {"wanted",7} {"ours ms",10} {"baseline ms",12} {"rate",11} {"share",6} {"of",-14} {"precision",-9} "
        + "baseline";

    public static string Line(BenchmarkResult result) =>
        $"{result.Name,-36} {result.Ratio,7:F2} {Text(result.Wanted, "F2"),7} {result.OursMs,10:F3} {result.BaselineMs,12:F3} "
        + $"{Rate(result),11} {Text(result.Share, "P0"),6} {result.Bound ?? "-",-14} {result.Precision,-9} {result.Baseline}";

    private static string Rate(BenchmarkResult result) => result.Bound switch
    {
        null => "-",
        "multiply-adds" => $"{Text(result.GigaFlops, "F1")} GF/s",
        _ => $"{Text(result.GigaBytes, "F1")} GB/s",
    };

    private static string Text(double? number, string format) => number?.ToString(format, CultureInfo.InvariantCulture) ?? "-";
}

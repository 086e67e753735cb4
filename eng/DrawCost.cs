// Draws the pictures of test/Benchmarks/results from what the benchmarks' cost measurement writes:
//
//     dotnet run -c Release --project test/Benchmarks -- --cost --json FILE
//     dotnet run eng/DrawCost.cs -- FILE PICTURE.png
//
// A program of its own: ScottPlot needs SkiaSharp 3, ML.NET's images need SkiaSharp 2.

#:package ScottPlot@5.1.59
#:property PublishAot=false
#:property ManagePackageVersionsCentrally=false

using System.Text.Json.Nodes;
using ScottPlot;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run eng/DrawCost.cs -- FILE PICTURE.png");
    return 2;
}

var points = JsonNode.Parse(File.ReadAllText(args[0]))!.AsArray()
    .Select(point => (Experts: (int)point!["experts"]!, Tokens: (int)point["tokens"]!, Time: (double)point["microsecondsPerToken"]!)).ToArray();

// The sizes are the grid's two lines through the standard one: 16 experts, 4096 tokens.
var pictures = new Multiplot();
pictures.AddPlots(2);
pictures.Layout = new ScottPlot.MultiplotLayouts.Columns();
Draw(pictures.GetPlot(0), "4096 tokens", "experts", points.Where(point => point.Tokens == 4096).Select(point => (point.Experts, point.Time)));
Draw(pictures.GetPlot(1), "16 experts", "tokens", points.Where(point => point.Experts == 16).Select(point => (point.Tokens, point.Time)));
pictures.SavePng(args[1], 1000, 400);
return 0;

static void Draw(Plot plot, string title, string axis, IEnumerable<(int Size, double Time)> values)
{
    var sorted = values.OrderBy(value => value.Size).ToArray();
    var line = plot.Add.Scatter(sorted.Select(value => Math.Log2(value.Size)).ToArray(), sorted.Select(value => value.Time).ToArray());
    line.LineWidth = 2;
    line.MarkerSize = 8;
    plot.Axes.Bottom.SetTicks([.. sorted.Select(value => Math.Log2(value.Size))], [.. sorted.Select(value => $"{value.Size:n0}")]);
    plot.Axes.SetLimitsY(0, sorted.Max(value => value.Time) * 1.15);
    plot.Title(title);
    plot.XLabel(axis);
    plot.YLabel("µs a token, forward and backward");
}

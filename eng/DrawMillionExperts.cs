// Draws what samples/MillionExperts measured, beside the paper's figures:
//
//     dotnet run -c Release --project samples/MillionExperts -- --results DIR
//     dotnet run eng/DrawMillionExperts.cs -- DIR/experts.json DIR/experts
//
// writes DIR/experts.png and DIR/experts.svg. A program of its own: ScottPlot needs SkiaSharp 3, ML.NET's images need SkiaSharp 2.

#:package ScottPlot@5.1.59
#:property PublishAot=false
#:property ManagePackageVersionsCentrally=false

using System.Text.Json.Nodes;
using ScottPlot;
using SkiaSharp;

const int Width = 1300;
const int Height = 720;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run eng/DrawMillionExperts.cs -- FILE.json PICTURE");
    return 2;
}

var trainings = JsonNode.Parse(File.ReadAllText(args[0]))!["trainings"]!.AsArray();
var variants = trainings.GroupBy(entry => (bool)entry!["training"]!["queryBatchNorm"]!)
    .Select(group => (Name: group.Key ? "batch norm" : "no batch norm", Color: group.Key ? Colors.C0 : Colors.C1, Entries: group.OrderBy(entry => (int)entry!["training"]!["experts"]!).ToArray())).ToArray();

Plot[] plots =
[
    Curves(),
    BySize("validation loss, nats a byte", entry => (double)entry["training"]!["validationLoss"]!),
    BySize("unevenness, nats (dashed: the paper's)", entry => (double)entry["training"]!["usage"]!["unevenness"]!, entry => (double?)entry["paperUnevenness"], legend: Alignment.UpperLeft),
    BySize("usage, %", entry => 100 * (double)entry["training"]!["usage"]!["usage"]!, legend: Alignment.UpperRight),
    BySize("tokens/s in training", entry => (double)entry["training"]!["tokensPerSecond"]!, fromZero: true),
    BySize("peak memory, GB", entry => (double)entry["training"]!["peakBytes"]! / 1e9, fromZero: true, legend: Alignment.UpperLeft),
];
var picture = new Multiplot();
picture.Reset(plots[0]);   // it is made with an empty plot
plots.Skip(1).ToList().ForEach(picture.AddPlot);
picture.Layout = new ScottPlot.MultiplotLayouts.Grid(2, 3);
picture.SavePng($"{args[1]}.png", Width, Height);
using (var file = File.Create($"{args[1]}.svg"))
using (var canvas = SKSvgCanvas.Create(SKRect.Create(Width, Height), file))
    picture.Render(canvas, new PixelRect(0, Width, Height, 0));
return 0;

// Training loss by step, one line for each size, with batch normalisation where there is both.
Plot Curves()
{
    var plot = new Plot();
    foreach (var entry in variants.FirstOrDefault(variant => variant.Name == "batch norm", variants[0]).Entries)
    {
        var curve = entry!["training"]!["curve"]!.AsArray();
        var line = plot.Add.Scatter(curve.Select(point => (double)point!["step"]!).ToArray(), curve.Select(point => (double)point!["loss"]!).ToArray());
        (line.LineWidth, line.MarkerSize, line.LegendText) = (2, 0, $"{(int)entry["training"]!["experts"]!:n0}");
    }
    plot.Title("training loss by number of experts", size: 14);
    plot.XLabel("step", size: 13);
    plot.ShowLegend(Alignment.UpperRight);
    return plot;
}

Plot BySize(string title, Func<JsonNode, double> value, Func<JsonNode, double?>? paper = null, bool fromZero = false, Alignment legend = Alignment.LowerRight)
{
    var plot = new Plot();
    foreach (var (name, color, entries) in variants)
    {
        var line = plot.Add.Scatter(entries.Select(Size).ToArray(), entries.Select(entry => value(entry!)).ToArray(), color);
        (line.LineWidth, line.MarkerSize, line.LegendText) = (2, 8, name);
        var known = entries.Where(entry => paper?.Invoke(entry!) is not null).ToArray();
        if (known.Length == 0)
            continue;
        var dashed = plot.Add.Scatter(known.Select(Size).ToArray(), known.Select(entry => paper!(entry!)!.Value).ToArray(), color);
        (dashed.LineWidth, dashed.MarkerSize, dashed.LinePattern) = (1, 4, LinePattern.Dashed);
    }
    var sizes = variants[0].Entries;
    plot.Axes.Bottom.SetTicks([.. sizes.Select(Size)], [.. sizes.Select(entry => $"{(int)entry!["training"]!["experts"]!:n0}")]);
    plot.Title(title, size: 14);
    plot.XLabel("experts", size: 13);
    plot.ShowLegend(legend);
    if (fromZero)
        plot.Axes.SetLimitsY(0, trainings.Max(entry => value(entry!)) * 1.15);
    return plot;
}

static double Size(JsonNode? entry) => Math.Log2((int)entry!["training"]!["experts"]!);

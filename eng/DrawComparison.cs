// Draws the curves of a comparison: for every variant the mean over the seeds, in a band of one standard deviation.
//
//     dotnet run -c Release --project samples/FashionMnist -- compare EXPERIMENT --results DIR
//     dotnet run eng/DrawComparison.cs -- DIR/EXPERIMENT.json PICTURE.png
//
// A picture's name may end in .svg. A program of its own: ScottPlot needs SkiaSharp 3, ML.NET's images need SkiaSharp 2.

#:package ScottPlot@5.1.59
#:property PublishAot=false
#:property ManagePackageVersionsCentrally=false

using System.Text.Json.Nodes;
using ScottPlot;
using SkiaSharp;

const int Width = 1100;
const int Height = 420;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run eng/DrawComparison.cs -- FILE.json PICTURE.png|PICTURE.svg");
    return 2;
}

var comparison = JsonNode.Parse(File.ReadAllText(args[0]))!;
var variants = comparison["trainings"]!.AsArray().GroupBy(training => (string)training!["variant"]!)
    .Select(group => (Name: group.Key, Curves: group.Select(training => training!["curve"]!.AsArray()).ToArray())).ToArray();

var heldOut = variants.All(variant => variant.Curves.All(curve => curve.All(point => point!["accuracy"] is not null)));   // else nothing was measured after the epochs
var pictures = new Multiplot();
pictures.AddPlots(heldOut ? 2 : 1);
pictures.Layout = new ScottPlot.MultiplotLayouts.Columns();
Draw(pictures.GetPlot(0), "loss", "training loss", Alignment.UpperRight);
if (heldOut)
    Draw(pictures.GetPlot(1), "accuracy", "accuracy on held-out images", Alignment.LowerRight);
if (Path.GetExtension(args[1]).Equals(".svg", StringComparison.OrdinalIgnoreCase))
{
    using var file = File.Create(args[1]);
    using var canvas = SKSvgCanvas.Create(SKRect.Create(Width, Height), file);
    pictures.Render(canvas, new PixelRect(0, Width, Height, 0));
}
else
{
    pictures.SavePng(args[1], Width, Height);
}
return 0;

void Draw(Plot plot, string field, string title, Alignment legend)
{
    var palette = new ScottPlot.Palettes.Category10();
    foreach (var ((name, curves), index) in variants.Select((variant, index) => (variant, index)))
    {
        var epochs = curves[0].Select(point => (double)(int)point!["epoch"]!).ToArray();
        var values = epochs.Select((_, epoch) => curves.Select(curve => (double)curve[epoch]![field]!).ToArray()).ToArray();
        var means = values.Select(seeds => seeds.Average()).ToArray();
        var deviations = values.Zip(means, (seeds, mean) => seeds.Length < 2 ? 0 : Math.Sqrt(seeds.Sum(value => (value - mean) * (value - mean)) / (seeds.Length - 1))).ToArray();
        var color = palette.GetColor(index);

        var band = plot.Add.FillY(epochs, [.. means.Zip(deviations, (mean, deviation) => mean - deviation)], [.. means.Zip(deviations, (mean, deviation) => mean + deviation)]);
        band.FillColor = color.WithAlpha(0.2);
        band.LineWidth = 0;
        var line = plot.Add.Scatter(epochs, means, color);
        line.LineWidth = 2;
        line.MarkerSize = 0;
        line.LegendText = name;
    }
    plot.Title(title);
    plot.XLabel("epoch");
    plot.ShowLegend(legend);
}

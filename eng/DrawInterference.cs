// Draws how the tasks of samples/Generalist get in each other's way, without experts and with them:
//
//     dotnet run -c Release --project samples/Generalist -- routers --results DIR
//     dotnet run eng/DrawInterference.cs -- DIR/routers.json DIR/interference
//
// writes DIR/interference.png and DIR/interference.svg: a row of maps for each router, a map for each block. A program of its own: ScottPlot needs SkiaSharp 3, ML.NET's images need SkiaSharp 2.

#:package ScottPlot@5.1.59
#:property PublishAot=false
#:property ManagePackageVersionsCentrally=false

using System.Text.Json.Nodes;
using ScottPlot;
using SkiaSharp;

const int MapWidth = 520;
const int MapHeight = 400;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run eng/DrawInterference.cs -- FILE.json PICTURE");
    return 2;
}

var routers = JsonNode.Parse(File.ReadAllText(args[0]))!.AsArray().OfType<JsonObject>().Where(run => run["interference"] is JsonArray { Count: > 0 })
    .GroupBy(run => (string)run["router"]!).ToArray();
if (routers.Length == 0)
{
    Console.Error.WriteLine($"'{args[0]}' holds no interference.");
    return 1;
}
var blocks = routers.Max(router => router.First()["interference"]!.AsArray().Count);
var plots = routers.SelectMany(router => Enumerable.Range(0, blocks).Select(block => Map(router.Key, [.. router.Select(run => run["interference"]![block]!)]))).ToArray();

var picture = new Multiplot();
picture.Reset(plots[0]);   // it is made with an empty plot
plots.Skip(1).ToList().ForEach(picture.AddPlot);
picture.Layout = new ScottPlot.MultiplotLayouts.Grid(routers.Length, blocks);
picture.SavePng($"{args[1]}.png", MapWidth * blocks, MapHeight * routers.Length);
using (var file = File.Create($"{args[1]}.svg"))
using (var canvas = SKSvgCanvas.Create(SKRect.Create(MapWidth * blocks, MapHeight * routers.Length), file))
    picture.Render(canvas, new PixelRect(0, MapWidth * blocks, MapHeight * routers.Length, 0));
return 0;

// The median over seeds of what a step for the column's task does to the row's: blue helps, red harms, full colour at 1 and beyond.
static Plot Map(string router, JsonNode[] layers)
{
    var (plot, tasks) = (new Plot(), layers[0]["tasks"]!.AsArray().Select(task => (string)task!).ToArray());
    for (var row = 0; row < tasks.Length; row++)
    {
        for (var column = 0; column < tasks.Length; column++)
        {
            // Rectangles: of a heat map an SVG gets a picture with a pixel a cell, which browsers blur.
            var (value, y) = (Median([.. layers.Select(layer => (double)layer["ratioOfMeans"]![row]![column]!).Order()]), tasks.Length - 1 - row);
            var cell = plot.Add.Rectangle(column - 0.5, column + 0.5, y - 0.5, y + 0.5);
            (cell.FillColor, cell.LineWidth) = (Colors.White.MixedWith(value < 0 ? Colors.C3 : Colors.C0, Math.Min(1, Math.Abs(value))), 0);
            var text = plot.Add.Text($"{value:+0.00;-0.00;0.00}", column, y);
            (text.LabelAlignment, text.LabelFontSize, text.LabelFontColor) = (Alignment.MiddleCenter, 13, Math.Abs(value) > 0.6 ? Colors.White : Colors.Black);
        }
    }
    double[] places = [.. Enumerable.Range(0, tasks.Length).Select(place => (double)place)];
    plot.Axes.Left.SetTicks([.. places.Select(place => tasks.Length - 1 - place)], tasks);
    plot.Axes.Bottom.SetTicks(places, [.. tasks.Select(task => task.Replace(' ', '\n'))]);
    plot.Axes.SetLimits(-0.5, tasks.Length - 0.5, -0.5, tasks.Length - 0.5);
    plot.Title($"{router}, block {(int)layers[0]["block"]! + 1}", size: 14);
    plot.HideGrid();
    return plot;
}

static double Median(double[] sorted) => (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;

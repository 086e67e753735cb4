// Draws which experts the tokens of the tasks of samples/Generalist go to, for each router (the last seed there is):
//
//     dotnet run -c Release --project samples/Generalist -- routers --results DIR
//     dotnet run eng/DrawActivation.cs -- DIR/routers.json DIR/activation
//
// writes DIR/activation.png and DIR/activation.svg. A program of its own: ScottPlot needs SkiaSharp 3, ML.NET's images need SkiaSharp 2.

#:package ScottPlot@5.1.59
#:property PublishAot=false
#:property ManagePackageVersionsCentrally=false

using System.Text.Json.Nodes;
using ScottPlot;
using SkiaSharp;

const int MapWidth = 1000;
const int MapHeight = 340;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run eng/DrawActivation.cs -- FILE.json PICTURE");
    return 2;
}

var plots = JsonNode.Parse(File.ReadAllText(args[0]))!.AsArray().OfType<JsonObject>().Where(run => run["activation"] is JsonArray { Count: > 0 })
    .GroupBy(run => (string)run["router"]!).Select(runs => Map(runs.Key, [.. runs.MaxBy(run => (int)run["seed"]!)!["activation"]!.AsArray().Select(row => row!)])).ToArray();
if (plots.Length == 0)
{
    Console.Error.WriteLine($"'{args[0]}' holds no activation of experts.");
    return 1;
}

var picture = new Multiplot();
picture.Reset(plots[0]);   // it is made with an empty plot
plots.Skip(1).ToList().ForEach(picture.AddPlot);
picture.Layout = new ScottPlot.MultiplotLayouts.Grid(plots.Length, 1);
picture.SavePng($"{args[1]}.png", MapWidth, MapHeight * plots.Length);
using (var file = File.Create($"{args[1]}.svg"))
using (var canvas = SKSvgCanvas.Create(SKRect.Create(MapWidth, MapHeight * plots.Length), file))
    picture.Render(canvas, new PixelRect(0, MapWidth, MapHeight * plots.Length, 0));
return 0;

// A row for each kind of tokens, a group of columns for each gate, a column for each of its experts; the darker, the more of the weight.
static Plot Map(string router, JsonNode[] activation)
{
    var plot = new Plot();
    var tokens = activation.Select(row => (string)row["tokens"]!).Distinct().ToArray();
    var gates = activation.Select(row => (Block: (int)row["block"]!, Gate: (string)row["gate"]!)).Distinct().ToArray();
    var experts = activation[0]["shares"]!.AsArray().Count;
    foreach (var row in activation)
    {
        var (y, gate) = (tokens.Length - 1 - Array.IndexOf(tokens, (string)row["tokens"]!), Array.IndexOf(gates, ((int)row["block"]!, (string)row["gate"]!)));
        for (var expert = 0; expert < experts; expert++)
        {
            // Rectangles: of a heat map an SVG gets a picture with a pixel a cell, which browsers blur.
            var x = (gate * (experts + 1)) + expert;
            var cell = plot.Add.Rectangle(x - 0.5, x + 0.5, y - 0.5, y + 0.5);
            (cell.FillColor, cell.LineColor, cell.LineWidth) = (Colors.White.MixedWith(Colors.C0, (double)row["shares"]![expert]!), Colors.LightGray, 0.5f);
        }
    }
    plot.Axes.Left.SetTicks([.. Enumerable.Range(0, tokens.Length).Select(row => (double)(tokens.Length - 1 - row))], tokens);
    plot.Axes.Bottom.SetTicks([.. Enumerable.Range(0, gates.Length).Select(gate => (gate * (experts + 1)) + ((experts - 1) / 2.0))], [.. gates.Select(gate => $"block {gate.Block + 1}, {(gate.Gate == "Attention" ? "attention" : "feed-forward")}")]);
    plot.Axes.SetLimits(-0.5, (gates.Length * (experts + 1)) - 1.5, -0.5, tokens.Length - 0.5);
    plot.Title($"experts chosen by {router}: white 0, blue all of the weight", size: 14);
    plot.HideGrid();
    return plot;
}

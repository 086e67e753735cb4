// Draws the picture of test/Benchmarks/results from what the benchmarks' cost measurement writes:
//
//     dotnet run -c Release --project test/Benchmarks -- --cost --csv FILE.csv
//     dotnet run test/Benchmarks/DrawCost.cs -- FILE.csv PICTURE.svg

#:project ../../samples/Drawing/Drawing.csproj
#:property PublishAot=false

using Drawing;
using Samples;
using ScottPlot;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run test/Benchmarks/DrawCost.cs -- FILE.csv PICTURE.svg");
    return 2;
}

var points = Csv.Read(args[0])
    .Select(point => (
        Experts: (int)point.Number("experts"), Tokens: (int)point.Number("tokens"), Time: point.Number("microseconds per token")))
    .ToArray();

// The sizes are the grid's two lines through the standard one: 16 experts, 4096 tokens.
Plot[] plots =
[
    Draw("4096 tokens", "experts", points.Where(point => point.Tokens == 4096).Select(point => (point.Experts, point.Time))),
    Draw("16 experts", "tokens", points.Where(point => point.Experts == 16).Select(point => (point.Tokens, point.Time))),
];
Picture.Save(args[1], plots, plots.Length, 1000, 400);
return 0;

static Plot Draw(string title, string axis, IEnumerable<(int Size, double Time)> values)
{
    var plot = new Plot();
    var sorted = values.OrderBy(value => value.Size).ToArray();
    var line = plot.Add.Scatter(sorted.Select(value => Math.Log2(value.Size)).ToArray(), sorted.Select(value => value.Time).ToArray());
    line.LineWidth = 2;
    line.MarkerSize = 8;
    plot.Axes.Bottom.SetTicks([.. sorted.Select(value => Math.Log2(value.Size))], [.. sorted.Select(value => $"{value.Size:n0}")]);
    plot.Axes.SetLimitsY(0, sorted.Max(value => value.Time) * 1.15);
    plot.Title(title);
    plot.XLabel(axis);
    plot.YLabel("µs a token, forward and backward");
    return plot;
}

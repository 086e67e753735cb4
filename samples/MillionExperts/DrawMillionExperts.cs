// Draws what samples/MillionExperts measured, beside the paper's figures:
//
//     dotnet run -c Release --project samples/MillionExperts -- --results DIR
//     dotnet run samples/MillionExperts/DrawMillionExperts.cs -- DIR/experts.csv DIR/experts.svg

#:project ../Drawing/Drawing.csproj
#:property PublishAot=false

using Drawing;
using Samples;
using ScottPlot;

const int Width = 1300;
const int Height = 720;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run samples/MillionExperts/DrawMillionExperts.cs -- FILE.csv PICTURE.svg");
    return 2;
}

var trainings = Csv.Read(args[0]);
var variants = trainings.GroupBy(run => run["query batch norm"] == "True")
    .Select(group => (
        Name: group.Key ? "batch norm" : "no batch norm",
        Color: group.Key ? Colors.C0 : Colors.C1,
        Runs: group.OrderBy(run => run.Number("experts")).ToArray()))
    .ToArray();

Plot[] plots =
[
    Curves(),
    BySize("validation loss, nats a byte", run => run.Number("validation loss")),
    BySize(
        "unevenness, nats (thin: the paper's)", run => run.Number("unevenness"), run => run.NumberOrNull("paper's unevenness"),
        legend: Alignment.UpperLeft),
    BySize("usage, %", run => 100 * run.Number("usage"), legend: Alignment.UpperRight),
    BySize("tokens/s in training", run => run.Number("tokens/s"), fromZero: true),
    BySize("peak memory, GB", run => run.Number("peak bytes") / 1e9, fromZero: true, legend: Alignment.UpperLeft),
];
Picture.Save(args[1], plots, columns: 3, Width, Height);
return 0;

// Training loss by step, one line for each size, with batch normalisation where there is both.
Plot Curves()
{
    var plot = new Plot();
    foreach (var run in variants.FirstOrDefault(variant => variant.Name == "batch norm", variants[0]).Runs)
    {
        var curve = run.Curve("loss");
        var line = plot.Add.Scatter(curve.Select(point => (double)point.At).ToArray(), curve.Select(point => point.Value).ToArray());
        (line.LineWidth, line.MarkerSize, line.LegendText) = (2, 0, $"{run.Number("experts"):n0}");
    }
    plot.Title("training loss by number of experts", size: 14);
    plot.XLabel("step", size: 13);
    plot.ShowLegend(Alignment.UpperRight);
    return plot;
}

Plot BySize(
    string title, Func<CsvRow, double> value, Func<CsvRow, double?>? paper = null, bool fromZero = false,
    Alignment legend = Alignment.LowerRight)
{
    var plot = new Plot();
    foreach (var (name, color, runs) in variants)
    {
        var line = plot.Add.Scatter(runs.Select(Size).ToArray(), runs.Select(value).ToArray(), color);
        (line.LineWidth, line.MarkerSize, line.LegendText) = (2, 8, name);
        var known = runs.Where(run => paper?.Invoke(run) is not null).ToArray();
        if (known.Length == 0)
            continue;
        var thin = plot.Add.Scatter(known.Select(Size).ToArray(), known.Select(run => paper!(run)!.Value).ToArray(), color);
        (thin.LineWidth, thin.MarkerSize) = (1, 4);   // SkiaSharp writes no dashes into an SVG
    }
    var sizes = variants[0].Runs;
    plot.Axes.Bottom.SetTicks([.. sizes.Select(Size)], [.. sizes.Select(run => $"{run.Number("experts"):n0}")]);
    plot.Title(title, size: 14);
    plot.XLabel("experts", size: 13);
    plot.ShowLegend(legend);
    if (fromZero)
        plot.Axes.SetLimitsY(0, trainings.Max(value) * 1.15);
    return plot;
}

static double Size(CsvRow run) => Math.Log2(run.Number("experts"));

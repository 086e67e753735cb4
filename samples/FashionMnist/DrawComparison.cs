// Draws the curves of a comparison of samples/FashionMnist or samples/SparseMlp: for every variant the mean over
// the seeds, in a band of one standard deviation.
//
//     dotnet run -c Release --project samples/FashionMnist -- compare EXPERIMENT --results DIR
//     dotnet run samples/FashionMnist/DrawComparison.cs -- DIR/EXPERIMENT.csv PICTURE.svg

#:project ../Drawing/Drawing.csproj
#:property PublishAot=false

using Drawing;
using Samples;
using ScottPlot;

const int Width = 1100;
const int Height = 420;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run samples/FashionMnist/DrawComparison.cs -- FILE.csv PICTURE.svg");
    return 2;
}

var variants = Csv.Read(args[0]).GroupBy(run => run["variant"]).Select(runs => (Name: runs.Key, Runs: runs.ToArray())).ToArray();
var plots = new List<Plot> { Draw("loss", "training loss", Alignment.UpperRight) };
if (variants.All(variant => variant.Runs.All(run => run.Curve("accuracy").Count > 0)))   // else nothing was measured after the epochs
    plots.Add(Draw("accuracy", "accuracy on held-out images", Alignment.LowerRight));
Picture.Save(args[1], plots, plots.Count, Width, Height);
return 0;

Plot Draw(string curve, string title, Alignment legend)
{
    var plot = new Plot();
    var palette = new ScottPlot.Palettes.Category10();
    foreach (var ((name, runs), index) in variants.Select((variant, index) => (variant, index)))
    {
        var curves = runs.Select(run => run.Curve(curve)).ToArray();
        var epochs = curves[0].Select(point => (double)point.At).ToArray();
        var values = epochs.Select((_, epoch) => curves.Select(points => points[epoch].Value).ToArray()).ToArray();
        var means = values.Select(seeds => seeds.Average()).ToArray();
        var deviations = values.Zip(means, Deviation).ToArray();
        var color = palette.GetColor(index);

        var band = plot.Add.FillY(
            epochs,
            [.. means.Zip(deviations, (mean, deviation) => mean - deviation)],
            [.. means.Zip(deviations, (mean, deviation) => mean + deviation)]);
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
    return plot;
}

static double Deviation(double[] seeds, double mean) =>
    seeds.Length < 2 ? 0 : Math.Sqrt(seeds.Sum(value => (value - mean) * (value - mean)) / (seeds.Length - 1));

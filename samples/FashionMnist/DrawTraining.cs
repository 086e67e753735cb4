// Draws how a model was trained, and which experts serve which classes:
//
//     dotnet run samples/FashionMnist/DrawTraining.cs -- MODEL.zip FOLDER [LOAD.json]
//
// writes curves.svg (loss, validation, learning rate, evenness of the experts by epoch) and expert-load.svg (block × expert) out of the
// history that every model zip carries, and with LOAD.json, what JsonSerializer makes of ImageClassificationTransformer.GetExpertLoad,
// expert-load-by-class.svg (class × expert).

#:project ../Drawing/Drawing.csproj
#:property PublishAot=false

using System.IO.Compression;
using System.Text.Json.Nodes;
using Drawing;
using ScottPlot;

if (args.Length is not (2 or 3))
{
    Console.Error.WriteLine("usage: dotnet run samples/FashionMnist/DrawTraining.cs -- MODEL.zip FOLDER [LOAD.json]");
    return 2;
}

var trainings = ReadTrainings(args[0]);
if (trainings.Length == 0)
{
    Console.Error.WriteLine($"{args[0]} has no history of a training: it was saved by an older version, or is no model of this library.");
    return 1;
}

var epochs = trainings.SelectMany(training => training["epochs"]!.AsArray()).ToArray();
var starts = trainings
    .Select(training => training["epochs"]!.AsArray().Count)
    .Aggregate(new List<int> { 0 }, (ends, count) => [.. ends, ends[^1] + count])[1..^1];   // where a training went on from an earlier one
DrawCurves();

if (epochs[^1]!["averages"]!["expertLoad"] is JsonArray { Count: > 0 })
{
    var best = trainings[^1]["bestEpoch"] is { } number ? (int)number : trainings[^1]["epochs"]!.AsArray().Count;
    var shares = trainings[^1]["epochs"]![best - 1]!["averages"]!["expertLoad"]!
        .AsArray()
        .Select(layer => Shares(layer!["counts"]!))
        .ToArray();
    Save(
        MapPlots([($"epoch {best}", shares, [.. Enumerable.Range(1, shares.Length).Select(block => $"{block}")])], "routing operation"),
        "expert-load",
        420,
        150 + (60 * shares.Length));
}

if (args.Length == 3)
{
    var load = JsonNode.Parse(File.ReadAllText(args[2]))!;
    string[] classes = [.. load["Classes"]!.AsArray().Select(name => (string)name!)];
    var maps = load["ByClass"]!
        .AsArray()
        .Select(
            (operation, index) =>
                (
                    $"routing operation {index + 1}",
                    operation!.AsArray().Select((JsonNode? one) => Shares(one!["Counts"]!)).ToArray(),
                    classes))
        .ToArray();
    if (maps.Length > 0)
        Save(MapPlots(maps, "class"), "expert-load-by-class", (320 * maps.Length) + 100, 150 + (36 * classes.Length));
}
return 0;

void DrawCurves()
{
    var plots = new List<Plot>();
    var hasValidation = epochs.Any(epoch => epoch!["validation"] is not null);
    plots.Add(
        Curves(
            "loss",
            ("training", Values(epoch => epoch["averages"]!["loss"])),
            ("validation", hasValidation ? Values(epoch => epoch["validation"]?["loss"]) : null)));
    if (hasValidation)
        plots.Add(
            Curves(
                $"validation {(string)epochs.First(epoch => epoch!["validation"] is not null)!["validation"]!["metricName"]!}",
                ("", Values(epoch => epoch["validation"]?["metric"]))));
    plots.Add(Curves("learning rate of the epoch's last step", ("", Values(epoch => epoch["learningRate"]))));
    if (epochs[^1]!["averages"]!["expertLoad"] is JsonArray { Count: > 0 } layers)
    {
        // The entropy of the load over that of an even one.
        var lines = Enumerable
            .Range(0, layers.Count)
            .Select(layer =>
                (
                    $"{layer + 1}",
                    Values(epoch =>
                        epoch["averages"]!["expertLoad"]?[layer] is { } load ? JsonValue.Create(Evenness(Shares(load["counts"]!))) : null)))
            .ToArray();
        var evenness = Curves("evenness of the experts' load, at most 1", lines!);
        // What is even shall look even.
        evenness.Axes.SetLimitsY(Math.Min(0.9, lines.Min(line => line.Item2.Where(double.IsFinite).Min()) - 0.02), 1.01);
        plots.Add(evenness);
    }
    Save(plots, "curves", 480 * ((plots.Count + 1) / 2), plots.Count > 1 ? 640 : 320, rows: plots.Count > 1 ? 2 : 1);
}

Plot Curves(string title, params (string Name, double[]? Values)[] lines)
{
    var plot = new Plot();
    foreach (var (name, values) in lines.Where(line => line.Values is not null))
    {
        // An epoch without a value leaves a gap.
        var points = values!.Select((value, index) => (X: index + 1.0, Y: value)).Where(point => double.IsFinite(point.Y)).ToArray();
        var line = plot.Add.Scatter(points.Select(point => point.X).ToArray(), points.Select(point => point.Y).ToArray());
        (line.LineWidth, line.MarkerSize, line.LegendText) = (2, epochs.Length <= 40 ? 6 : 0, name);
    }
    foreach (var start in starts)
        plot.Add.VerticalLine(start + 0.5, 1, Colors.Gray);
    if (lines.Count(line => line.Values is not null) > 1)
        plot.ShowLegend(Edge.Right);
    plot.Title(title, size: 14);
    plot.XLabel("epoch", size: 13);
    plot.Axes.Bottom.TickGenerator = new ScottPlot.TickGenerators.NumericAutomatic { IntegerTicksOnly = true };
    return plot;
}

// Heat maps with a number in every cell, one beside the other, in the same colours.
static List<Plot> MapPlots((string Title, double[][] Shares, string[] Rows)[] maps, string rowAxis)
{
    // An even share has half the colour, or less.
    var most = maps.Max(map => map.Shares.Max(row => Math.Max(row.Max(), 2.0 / row.Length)));
    var colours = new ScottPlot.Colormaps.Blues().Reversed();
    var plots = new List<Plot>();
    foreach (var (title, shares, rows) in maps)
    {
        var (plot, columns) = (new Plot(), shares.Max(row => row.Length));
        for (var row = 0; row < shares.Length; row++)
        {
            for (var column = 0; column < shares[row].Length; column++)
            {
                // Rectangles: of a heat map an SVG gets a picture with a pixel a cell, which browsers blur.
                var (share, y) = (shares[row][column], shares.Length - 1 - row);
                var cell = plot.Add.Rectangle(column - 0.5, column + 0.5, y - 0.5, y + 0.5);
                (cell.FillColor, cell.LineWidth) = (colours.GetColor(share / most), 0);
                if (columns > 16)
                    continue;
                var text = plot.Add.Text($"{100 * share:0}", column, y);
                (text.LabelAlignment, text.LabelFontSize, text.LabelFontColor) = (
                    Alignment.MiddleCenter, 13, share > 0.6 * most ? Colors.White : Colors.Black);
            }
        }
        plot.Axes.Left.SetTicks([.. Enumerable.Range(0, rows.Length).Select(row => (double)(rows.Length - 1 - row))], rows);
        if (columns <= 32)
            plot.Axes.Bottom.SetTicks(
                [.. Enumerable.Range(0, columns).Select(column => (double)column)],
                [.. Enumerable.Range(1, columns).Select(column => $"{column}")]);
        plot.Axes.SetLimits(-0.5, columns - 0.5, -0.5, shares.Length - 0.5);
        plot.Title($"{title}: % of the load", size: 14);
        plot.XLabel("expert", size: 13);
        if (plots.Count == 0)
            plot.YLabel(rowAxis, size: 13);
        plot.HideGrid();
        plots.Add(plot);
    }
    return plots;
}

void Save(List<Plot> plots, string name, int width, int height, int rows = 1) =>
    Picture.Save(Path.Combine(args[1], $"{name}.svg"), plots, (plots.Count + rows - 1) / rows, width, height);

double[] Values(Func<JsonNode, JsonNode?> select) =>
    [
        .. epochs.Select(epoch =>
            select(epoch!) is { } value && value.GetValueKind() == System.Text.Json.JsonValueKind.Number ? (double)value : double.NaN),
    ];

static double[] Shares(JsonNode counts)
{
    double[] numbers = [.. counts.AsArray().Select(count => (double)count!)];
    var sum = numbers.Sum();
    return [.. numbers.Select(number => sum == 0 ? 0 : number / sum)];
}

static double Evenness(double[] shares) =>
    shares.Length < 2 ? 1 : -shares.Where(share => share > 0).Sum(share => share * Math.Log(share)) / Math.Log(shares.Length);

// The trainings that the model has gone through, the first of them first.
static JsonNode[] ReadTrainings(string zip)
{
    using var archive = ZipFile.OpenRead(zip);
    var entry = archive.Entries.LastOrDefault(entry => entry.Name == "training.json");
    if (entry is null)
        return [];
    using var stream = entry.Open();
    return JsonNode.Parse(stream) is { } last ? [.. last["earlier"]?.AsArray().Select(training => training!) ?? [], last] : [];
}

// Draws which experts the tokens of the tasks of samples/Generalist go to, for each router (the last seed there is):
//
//     dotnet run -c Release --project samples/Generalist -- routers --results DIR
//     dotnet run samples/Generalist/DrawActivation.cs -- DIR/activation.csv DIR/activation.svg

#:project ../Drawing/Drawing.csproj
#:property PublishAot=false

using Drawing;
using Samples;
using ScottPlot;

const int MapWidth = 1000;
const int MapHeight = 340;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run samples/Generalist/DrawActivation.cs -- FILE.csv PICTURE.svg");
    return 2;
}

var plots = Csv.Read(args[0]).GroupBy(row => row["router"])
    .Select(rows => Map(rows.Key, [.. rows.GroupBy(row => row.Number("seed")).MaxBy(seed => seed.Key)!])).ToArray();
Picture.Save(args[1], plots, columns: 1, MapWidth, MapHeight * plots.Length);
return 0;

// A row for each kind of tokens, a group of columns for each gate, a column for each of its experts; the darker, the more of the weight.
static Plot Map(string router, CsvRow[] activation)
{
    var plot = new Plot();
    var tokens = activation.Select(row => row["tokens"]).Distinct().ToArray();
    var gates = activation.Select(row => (Block: (int)row.Number("block"), Gate: row["gate"])).Distinct().ToArray();
    var experts = activation[0].Curve("expert").Count;
    foreach (var row in activation)
    {
        var y = tokens.Length - 1 - Array.IndexOf(tokens, row["tokens"]);
        var gate = Array.IndexOf(gates, ((int)row.Number("block"), row["gate"]));
        foreach (var (expert, share) in row.Curve("expert").Where(expert => expert.Value > 0.005))   // less is white
        {
            // Rectangles: of a heat map an SVG gets a picture with a pixel a cell, which browsers blur.
            var x = (gate * (experts + 1)) + expert - 1;
            var cell = plot.Add.Rectangle(x - 0.5, x + 0.5, y - 0.5, y + 0.5);
            (cell.FillColor, cell.LineWidth) = (Colors.White.MixedWith(Colors.C0, share), 0);
        }
    }
    for (var gate = 0; gate < gates.Length; gate++)
    {
        for (var y = 0; y < tokens.Length; y++)
        {
            var frame = plot.Add.Rectangle((gate * (experts + 1)) - 0.5, (gate * (experts + 1)) + experts - 0.5, y - 0.5, y + 0.5);
            (frame.FillColor, frame.LineColor, frame.LineWidth) = (Colors.Transparent, Colors.LightGray, 0.5f);
        }
    }
    plot.Axes.Left.SetTicks([.. Enumerable.Range(0, tokens.Length).Select(row => (double)(tokens.Length - 1 - row))], tokens);
    plot.Axes.Bottom.SetTicks(
        [.. Enumerable.Range(0, gates.Length).Select(gate => (gate * (experts + 1)) + ((experts - 1) / 2.0))],
        [.. gates.Select(gate => $"block {gate.Block + 1}, {(gate.Gate == "Attention" ? "attention" : "feed-forward")}")]);
    plot.Axes.SetLimits(-0.5, (gates.Length * (experts + 1)) - 1.5, -0.5, tokens.Length - 0.5);
    plot.Title($"experts chosen by {router}: white 0, blue all of the weight", size: 14);
    plot.HideGrid();
    return plot;
}

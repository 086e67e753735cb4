// Draws how the tasks of samples/Generalist get in each other's way, without experts and with them: a row of maps for
// each router, a map for each block.
//
//     dotnet run -c Release --project samples/Generalist -- routers --results DIR
//     dotnet run samples/Generalist/DrawInterference.cs -- DIR/interference.csv DIR/interference.svg

#:project ../Drawing/Drawing.csproj
#:property PublishAot=false

using Drawing;
using Samples;
using ScottPlot;

const int MapWidth = 520;
const int MapHeight = 400;

if (args.Length != 2)
{
    Console.Error.WriteLine("usage: dotnet run samples/Generalist/DrawInterference.cs -- FILE.csv PICTURE.svg");
    return 2;
}

var plots = Csv.Read(args[0]).GroupBy(row => (Router: row["router"], Block: (int)row.Number("block")))
    .Select(rows => Map(rows.Key.Router, rows.Key.Block, [.. rows])).ToArray();
var routers = Csv.Read(args[0]).Select(row => row["router"]).Distinct().Count();
Picture.Save(args[1], plots, plots.Length / routers, MapWidth * plots.Length / routers, MapHeight * routers);
return 0;

// The median over seeds of what a step for the column's task does to the row's: blue helps, red harms, full colour at 1 and beyond.
static Plot Map(string router, int block, CsvRow[] rows)
{
    var (plot, tasks) = (new Plot(), rows.Select(row => row["loss of"]).Distinct().ToArray());
    for (var row = 0; row < tasks.Length; row++)
    {
        for (var column = 0; column < tasks.Length; column++)
        {
            // Rectangles: of a heat map an SVG gets a picture with a pixel a cell, which browsers blur.
            var seeds = rows.Where(seed => seed["loss of"] == tasks[row]).Select(seed => seed.Number($"step for {tasks[column]}"));
            var (value, y) = (Median([.. seeds.Order()]), tasks.Length - 1 - row);
            var cell = plot.Add.Rectangle(column - 0.5, column + 0.5, y - 0.5, y + 0.5);
            (cell.FillColor, cell.LineWidth) = (Colors.White.MixedWith(value < 0 ? Colors.C3 : Colors.C0, Math.Min(1, Math.Abs(value))), 0);
            var text = plot.Add.Text($"{value:+0.00;-0.00;0.00}", column, y);
            (text.LabelAlignment, text.LabelFontSize) = (Alignment.MiddleCenter, 13);
            text.LabelFontColor = Math.Abs(value) > 0.6 ? Colors.White : Colors.Black;
        }
    }
    double[] places = [.. Enumerable.Range(0, tasks.Length).Select(place => (double)place)];
    plot.Axes.Left.SetTicks([.. places.Select(place => tasks.Length - 1 - place)], tasks);
    plot.Axes.Bottom.SetTicks(places, [.. tasks.Select(task => task.Replace(' ', '\n'))]);
    plot.Axes.SetLimits(-0.5, tasks.Length - 0.5, -0.5, tasks.Length - 0.5);
    plot.Title($"{router}, block {block + 1}", size: 14);
    plot.HideGrid();
    return plot;
}

static double Median(double[] sorted) => (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;

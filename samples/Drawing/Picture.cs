using System.Text;
using System.Text.RegularExpressions;
using ScottPlot;
using ScottPlot.MultiplotLayouts;
using SkiaSharp;

namespace Drawing;

/// <summary>Plots beside and below each other.</summary>
public static partial class Picture
{
    /// <summary>Writes an SVG.</summary>
    /// <param name="file">The file; its folder is made where it is missing.</param>
    /// <param name="plots">The plots, row by row.</param>
    /// <param name="columns">How many stand beside each other.</param>
    /// <param name="width">Width of the whole picture in pixels.</param>
    /// <param name="height">Its height.</param>
    public static void Save(string file, IReadOnlyList<Plot> plots, int columns, int width, int height)
    {
        var picture = new Multiplot();
        picture.Reset(plots[0]);   // it is made with an empty plot
        foreach (var plot in plots.Skip(1))
            picture.AddPlot(plot);
        picture.Layout = new Grid((plots.Count + columns - 1) / columns, columns);

        if (Path.GetDirectoryName(Path.GetFullPath(file)) is { } folder)
            Directory.CreateDirectory(folder);
        using var stream = new MemoryStream();
        using (var canvas = SKSvgCanvas.Create(SKRect.Create(width, height), stream))
            picture.Render(canvas, new PixelRect(0, width, height, 0));
        File.WriteAllText(file, ShareClips(Encoding.UTF8.GetString(stream.ToArray())));
        Console.WriteLine(file);
    }

    // Every cell of a map comes with a definition of what it is clipped to, the same for all: half the file.
    private static string ShareClips(string svg)
    {
        var (firsts, same) = (new Dictionary<string, string>(), new Dictionary<string, string>());
        svg = ClipPath().Replace(svg, clip =>
        {
            var (id, shape) = (clip.Groups["id"].Value, clip.Groups["shape"].Value);
            if (firsts.TryAdd(shape, id))
                return clip.Value;
            same[id] = firsts[shape];
            return "";
        });
        return ClipUse().Replace(svg, use => same.TryGetValue(use.Groups["id"].Value, out var first) ? $"url(#{first})" : use.Value);
    }

    [GeneratedRegex("""\s*<clipPath id="(?<id>[^"]*)">(?<shape>.*?)</clipPath>""", RegexOptions.Singleline)]
    private static partial Regex ClipPath();

    [GeneratedRegex("""url\(#(?<id>cl[^)]*)\)""")]
    private static partial Regex ClipUse();
}

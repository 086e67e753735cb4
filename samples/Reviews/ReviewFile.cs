using System.IO.Compression;

namespace Reviews;

/// <summary>Reads files of reviews, a line each, with columns that tabs separate.</summary>
internal static class ReviewFile
{
    /// <summary>The reviews that lie beside the program: their columns are label, product, text.</summary>
    /// <param name="set">"train" or "test".</param>
    public static Review[] Shipped(string set) =>
        Read(Path.Combine(AppContext.BaseDirectory, "data", $"reviews-{set}.tsv.gz"), label: 0, text: 2, header: false);

    /// <summary>Reads a file, packed by gzip where its name ends so.</summary>
    /// <param name="path">The file.</param>
    /// <param name="label">Column of the label, from 0.</param>
    /// <param name="text">Column of the text, from 0.</param>
    /// <param name="header">Whether the first line names the columns.</param>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="InvalidDataException">A line has too few columns.</exception>
    public static Review[] Read(string path, int label, int text, bool header)
    {
        using var file = File.OpenRead(path);
        using var reader = new StreamReader(
            path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GZipStream(file, CompressionMode.Decompress) : file);
        var reviews = new List<Review>();
        for (var number = 1; reader.ReadLine() is { } line; number++)
        {
            if (line.Length == 0 || (header && number == 1))
                continue;
            var columns = line.Split('\t');
            if (columns.Length <= Math.Max(label, text))
                throw new InvalidDataException(
                    $"Line {number} of '{path}' has {columns.Length} columns; {Math.Max(label, text) + 1} are wanted.");
            reviews.Add(new() { Label = columns[label], Text = columns[text] });
        }
        return [.. reviews];
    }
}

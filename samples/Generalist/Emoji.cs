using System.IO.Compression;
using Microsoft.ML.Data;

namespace GeneralistSample;

/// <summary>Pictures of emoji and their names. Every tenth emoji measures, in both of its drawing styles.</summary>
internal static class Emoji
{
    private const int Every = 10;

    /// <summary>Reads the pictures that come with the sample.</summary>
    /// <exception cref="IOException">A file is missing or damaged.</exception>
    public static (ImageRow[] Training, ImageRow[] Test) Read()
    {
        var folder = Path.Combine(AppContext.BaseDirectory, "data");
        var names = File.ReadLines(Path.Combine(folder, "emoji.tsv"))
            .Skip(1)
            .Select(line => line.Split('\t'))
            .Index()
            .ToDictionary(row => row.Item[0], row => (row.Index, Name: row.Item[3]));
        var (training, test) = (new List<ImageRow>(), new List<ImageRow>());
        foreach (var file in Directory.EnumerateFiles(folder, "emoji.*.zip").Order(StringComparer.Ordinal))
        {
            using var archive = ZipFile.OpenRead(file);
            foreach (var entry in archive.Entries)
            {
                var (index, name) = names[entry.Name];
                (index % Every == 0 ? test : training).Add(new ImageRow { Image = Pixels(entry), Text = name });
            }
        }
        return ([.. training], [.. test]);
    }

    // The colours on white, one after the other.
    private static byte[] Pixels(ZipArchiveEntry entry)
    {
        using var stream = entry.Open();
        using var bytes = new MemoryStream();
        stream.CopyTo(bytes);
        bytes.Position = 0;
        using var picture = MLImage.CreateFromStream(bytes);
        var pixels = picture.Pixels;
        const int Count = ImageRow.Side * ImageRow.Side;
        if (picture.Width != ImageRow.Side || picture.Height != ImageRow.Side)
            throw new InvalidDataException(
                $"'{entry.FullName}' has {picture.Width}×{picture.Height} pixels; {ImageRow.Side}×{ImageRow.Side} are wanted.");
        var (red, blue) = picture.PixelFormat == MLPixelFormat.Rgba32 ? (0, 2) : (2, 0);
        var planes = new byte[3 * Count];
        for (var i = 0; i < Count; i++)
        {
            var white = 255 - pixels[(4 * i) + 3];   // colours come multiplied by their opacity
            planes[i] = (byte)Math.Min(255, pixels[(4 * i) + red] + white);
            planes[Count + i] = (byte)Math.Min(255, pixels[(4 * i) + 1] + white);
            planes[(2 * Count) + i] = (byte)Math.Min(255, pixels[(4 * i) + blue] + white);
        }
        return planes;
    }
}

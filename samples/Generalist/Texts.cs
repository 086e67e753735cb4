using System.IO.Compression;
using Shakespeare;

namespace GeneralistSample;

/// <summary>Reviews of food, and passages of Shakespeare.</summary>
internal static class Texts
{
    /// <summary>What a review may say.</summary>
    public static IReadOnlyList<string> Opinions { get; } = ["great", "other"];

    /// <summary>Reads reviews.</summary>
    /// <param name="set">"train" or "test".</param>
    /// <exception cref="IOException">The file is missing or damaged.</exception>
    public static TextRow[] Reviews(string set)
    {
        using var file = File.OpenRead(Path.Combine(AppContext.BaseDirectory, "data", $"reviews-{set}.tsv.gz"));
        using var unpacked = new GZipStream(file, CompressionMode.Decompress);
        using var reader = new StreamReader(unpacked);
        return
        [
            .. reader
                .ReadToEnd()
                .Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line.Split('\t'))
                .Select(parts => new TextRow { Label = parts[0], Text = parts[2] }),
        ];
    }

    /// <summary>Shakespeare in passages of some lines each: the first nine tenths to train on, the last tenth to measure.</summary>
    /// <exception cref="IOException">The file is missing.</exception>
    public static (TextRow[] Training, TextRow[] Test) Passages()
    {
        var (training, test) = ShakespeareText.Read();
        return (Cut(training.Text), Cut(test.Text));
    }

    private static TextRow[] Cut(string text) =>
        [
            .. text.Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Chunk(3)
                .Select(lines => new TextRow { Text = string.Join('\n', lines) }),
        ];
}

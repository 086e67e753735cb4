namespace Shakespeare;

/// <summary>A row: a text.</summary>
public sealed class ShakespeareText
{
    /// <summary>The text.</summary>
    public string Text { get; set; } = "";

    /// <summary>The file that comes with the sample.</summary>
    public static string ShippedFile => Path.Combine(AppContext.BaseDirectory, "data", "tinyshakespeare.txt");

    /// <summary>Reads the text that comes with the sample: the first 90 % to train on, the last 10 % to measure.</summary>
    public static (ShakespeareText Training, ShakespeareText Validation) Read() => Read(ShippedFile);

    /// <summary>Reads a text: the first 90 % to train on, the last 10 % to measure.</summary>
    /// <param name="file">A file in UTF-8.</param>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static (ShakespeareText Training, ShakespeareText Validation) Read(string file) =>
        new ShakespeareText { Text = File.ReadAllText(file) }.Split();

    /// <summary>Parts the text: the first 90 % and the last 10 %.</summary>
    public (ShakespeareText First, ShakespeareText Last) Split()
    {
        var border = (int)(Text.Length * 0.9);
        return (new() { Text = Text[..border] }, new() { Text = Text[border..] });
    }
}

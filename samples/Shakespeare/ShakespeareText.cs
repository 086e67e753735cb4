namespace Shakespeare;

/// <summary>A row: a text.</summary>
public sealed class ShakespeareText
{
    /// <summary>The text.</summary>
    public string Text { get; set; } = "";

    /// <summary>Reads the text that comes with the sample: the first 90 % to train on, the last 10 % to measure.</summary>
    public static (ShakespeareText Training, ShakespeareText Validation) Read()
    {
        var text = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "data", "tinyshakespeare.txt"));
        var border = (int)(text.Length * 0.9);
        return (new() { Text = text[..border] }, new() { Text = text[border..] });
    }
}

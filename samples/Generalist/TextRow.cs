namespace GeneralistSample;

/// <summary>A row of a task with texts.</summary>
public sealed class TextRow
{
    /// <summary>The text.</summary>
    public string Text { get; set; } = "";

    /// <summary>Its class, where a task has classes.</summary>
    public string Label { get; set; } = "";
}

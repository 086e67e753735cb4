namespace GeneralistSample;

/// <summary>A row of a task with pictures in files.</summary>
public sealed class FileRow
{
    /// <summary>The file.</summary>
    public string Path { get; set; } = "";

    /// <summary>What it shows, where a task has classes.</summary>
    public string Label { get; set; } = "";

    /// <summary>What it is called, where a task describes or looks for something.</summary>
    public string Text { get; set; } = "";
}

namespace Reviews;

/// <summary>A text with its class.</summary>
internal sealed class Review
{
    /// <summary>The class.</summary>
    public string Label { get; set; } = "";

    /// <summary>The text.</summary>
    public string Text { get; set; } = "";
}

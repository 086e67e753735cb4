namespace Estimators.Tests.TextEncoders;

/// <summary>A sentence with its mood.</summary>
internal sealed class Mood
{
    public string? Label { get; set; }

    public string? Text { get; set; }

    public string? Second { get; set; }
}

namespace Estimators.Tests.LanguageModels;

/// <summary>A row with a text.</summary>
internal sealed class TextRow
{
    public int Id { get; set; }

    public string? Text { get; set; }
}

namespace Estimators.Tests.Support;

/// <summary>A picture in a file whose class is its colour.</summary>
public sealed class PictureFile
{
    public string Path { get; set; } = "";

    public string? Label { get; set; }

    public int Id { get; set; }
}

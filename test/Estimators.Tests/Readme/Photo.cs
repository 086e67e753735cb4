using Microsoft.ML.Data;

namespace Estimators.Tests.Readme;

/// <summary>A row of the README's <c>photos.tsv</c>.</summary>
public sealed class Photo
{
    [LoadColumn(0)]
    public string? Path { get; set; }

    [LoadColumn(1)]
    public string? Label { get; set; }
}

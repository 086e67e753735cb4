using Microsoft.ML.Data;

namespace Estimators.Tests.Support;

/// <summary>A tiny image whose class is its colour, as a picture.</summary>
public sealed class PictureRow
{
    [Microsoft.ML.Transforms.Image.ImageType(12, 10)]
    public MLImage? Features { get; set; }

    public string? Label { get; set; }

    public int Id { get; set; }
}

using Microsoft.ML.Data;

namespace FashionMnist;

/// <summary>One row: a picture and what it shows.</summary>
public sealed class FashionMnistImage
{
    /// <summary>Grey values from 0 to 255: one channel of 28 rows of 28 pixels.</summary>
    [VectorType(1, FashionMnistData.Size, FashionMnistData.Size)]
    public byte[] Image { get; set; } = [];

    /// <summary>The class, such as "Ankle boot".</summary>
    public string Label { get; set; } = string.Empty;
}

using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Decoded pictures in memory at their own size, for random parts to be cut out of them.</summary>
internal sealed class OriginalPictures
{
    private const int BytesPerPixel = 4;

    private readonly List<(byte[] Pixels, int Width, MLPixelFormat Format, int Label, int Row)> pictures = [];

    /// <summary>Memory in use, in bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>Number of pictures.</summary>
    public int Count => pictures.Count;

    /// <summary>Copies a picture in.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="label">Its class.</param>
    /// <param name="row">The number of its row in the data.</param>
    public void Add(MLImage picture, int label, int row)
    {
        pictures.Add((picture.Pixels.ToArray(), picture.Width, picture.PixelFormat, label, row));
        Bytes += pictures[^1].Pixels.Length;
        GC.KeepAlive(picture);
    }

    /// <summary>The number of a picture's row.</summary>
    public int RowOf(int index) => pictures[index].Row;

    /// <summary>Its class.</summary>
    public int LabelOf(int index) => pictures[index].Label;

    /// <summary>The picture at a position.</summary>
    public PicturePixels this[int index]
    {
        get
        {
            var (pixels, width, format, _, _) = pictures[index];
            return new(pixels, width, pixels.Length / (BytesPerPixel * width), format);
        }
    }
}

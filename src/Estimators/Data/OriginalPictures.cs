using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Decoded pictures in memory at their own size, for random parts to be cut out of them.</summary>
internal sealed class OriginalPictures
{
    private const int BytesPerPixel = 4;

    private readonly List<(byte[] Pixels, int Width, MLPixelFormat Format, ImageExample Example)> pictures = [];

    /// <summary>Memory in use, in bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>Number of pictures.</summary>
    public int Count => pictures.Count;

    /// <summary>Copies a picture in.</summary>
    /// <param name="picture">The picture.</param>
    /// <param name="example">What it is an example of; its pixels are not kept.</param>
    public void Add(MLImage picture, ImageExample example)
    {
        pictures.Add((picture.Pixels.ToArray(), picture.Width, picture.PixelFormat, example with { Pixels = default }));
        Bytes += pictures[^1].Pixels.Length;
        GC.KeepAlive(picture);
    }

    /// <summary>What a picture is an example of, without pixels.</summary>
    public ImageExample ExampleOf(int index) => pictures[index].Example;

    /// <summary>The picture at a position.</summary>
    public PicturePixels this[int index]
    {
        get
        {
            var (pixels, width, format, _) = pictures[index];
            return new(pixels, width, pixels.Length / (BytesPerPixel * width), format);
        }
    }
}

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Decoded images in memory, in blocks so that no single array has to hold them all.</summary>
internal sealed class ImageCache(int bytesPerImage)
{
    private const int BlockBytes = 16 << 20;

    private readonly int imagesPerBlock = Math.Max(1, BlockBytes / bytesPerImage);
    private readonly List<byte[]> blocks = [];
    private readonly List<(int Label, int Row, float Weight)> facts = [];

    /// <summary>Number of images.</summary>
    public int Count => facts.Count;

    /// <summary>Memory in use, in bytes.</summary>
    public long Bytes => (long)blocks.Count * imagesPerBlock * bytesPerImage;

    /// <summary>The example at a position.</summary>
    public ImageExample this[int index]
    {
        get
        {
            var (label, row, weight) = facts[index];
            return new(blocks[index / imagesPerBlock].AsMemory(index % imagesPerBlock * bytesPerImage, bytesPerImage), label, row, weight);
        }
    }

    /// <summary>Copies an example in.</summary>
    public void Add(ImageExample example)
    {
        var place = Count % imagesPerBlock;
        if (place == 0)
            blocks.Add(new byte[imagesPerBlock * bytesPerImage]);
        example.Pixels.CopyTo(blocks[^1].AsMemory(place * bytesPerImage));
        facts.Add((example.Label, example.Row, example.Weight));
    }
}

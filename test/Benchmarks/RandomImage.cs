using Microsoft.ML.Data;

namespace Benchmarks;

/// <summary>A row of random pixels with a random label.</summary>
internal sealed class RandomImage
{
    public const int Side = 28;
    public const int Classes = 10;

    [VectorType(1, Side, Side)]
    public byte[] Image { get; set; } = [];

    [KeyType(Classes)]
    public uint Label { get; set; }

    /// <summary>Rows that are the same in every run. Half of the pixels follow the label, so that there is something to learn.</summary>
    public static List<RandomImage> Rows(int count)
    {
        var random = new Random(1);
        var rows = new List<RandomImage>(count);
        for (var i = 0; i < count; i++)
        {
            var label = random.Next(Classes);
            var image = new byte[Side * Side];
            random.NextBytes(image);
            for (var pixel = label; pixel < image.Length; pixel += 2 * Classes)
                image[pixel] = 255;
            rows.Add(new RandomImage { Image = image, Label = (uint)label + 1 });   // keys count from 1
        }

        return rows;
    }
}

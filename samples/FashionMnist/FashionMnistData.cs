using System.Buffers.Binary;
using System.IO.Compression;

namespace FashionMnist;

/// <summary>Reads Fashion-MNIST: the part that this sample ships (Brotli), or a folder with the four official files (gzip).</summary>
public static class FashionMnistData
{
    /// <summary>Height and width of a picture in pixels.</summary>
    public const int Size = 28;

    private const int ImageMagic = 0x803;   // IDX: unsigned bytes, three dimensions
    private const int LabelMagic = 0x801;   // IDX: unsigned bytes, one dimension

    /// <summary>The ten classes; a label is an index into them.</summary>
    public static IReadOnlyList<string> ClassNames { get; } =
        ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

    /// <summary>The folder of the part that this sample ships.</summary>
    public static string ShippedDirectory => Path.Combine(AppContext.BaseDirectory, "data");

    /// <summary>Reads the training images: 20,000 in the shipped part, 60,000 in the official files.</summary>
    public static IReadOnlyList<FashionMnistImage> ReadTrain(string directory) => Read(directory, "train");

    /// <summary>Reads the test images: 10,000 in both.</summary>
    public static IReadOnlyList<FashionMnistImage> ReadTest(string directory) => Read(directory, "t10k");

    private static FashionMnistImage[] Read(string directory, string set)
    {
        var pixels = ReadIdx(directory, $"{set}-images-idx3-ubyte", ImageMagic, Size * Size);
        var labels = ReadIdx(directory, $"{set}-labels-idx1-ubyte", LabelMagic, itemLength: 1);
        if (pixels.Count != labels.Count)
            throw new InvalidDataException($"'{directory}' has {pixels.Count} images and {labels.Count} labels in its {set} files.");

        return
        [
            .. pixels.Zip(labels, (image, label) =>
                new FashionMnistImage
                {
                    Image = image,
                    Label =
                        label[0] < ClassNames.Count
                            ? ClassNames[label[0]]
                            : throw new InvalidDataException(
                                $"'{directory}' has the label {label[0]} in its {set} files; labels are 0 to {ClassNames.Count - 1}."),
                }
            ),
        ];
    }

    /// <summary>The items of NAME.gz, or of NAME.0.br, NAME.1.br and so on, one after the other.</summary>
    private static List<byte[]> ReadIdx(string directory, string name, int magic, int itemLength)
    {
        var items = new List<byte[]>();
        var official = Path.Combine(directory, name + ".gz");
        if (File.Exists(official))
        {
            using var file = File.OpenRead(official);
            using var unpacked = new GZipStream(file, CompressionMode.Decompress);
            AddItems(items, unpacked, official, magic, itemLength);
            return items;
        }

        for (var part = 0; Path.Combine(directory, $"{name}.{part}.br") is var path && File.Exists(path); part++)
        {
            using var file = File.OpenRead(path);
            using var unpacked = new BrotliStream(file, CompressionMode.Decompress);
            AddItems(items, unpacked, path, magic, itemLength);
        }

        return items.Count > 0
            ? items
            : throw new FileNotFoundException($"'{Path.GetFullPath(directory)}' has neither '{name}.gz' nor '{name}.0.br'.", official);
    }

    private static void AddItems(List<byte[]> items, Stream idx, string path, int magic, int itemLength)
    {
        try
        {
            Span<byte> number = stackalloc byte[4];
            idx.ReadExactly(number);
            if (BinaryPrimitives.ReadInt32BigEndian(number) is var found && found != magic)
                throw new InvalidDataException(
                    $"'{path}' is not the IDX file it should be: its magic number is 0x{found:X8}, 0x{magic:X8} is wanted.");

            idx.ReadExactly(number);
            var count = BinaryPrimitives.ReadInt32BigEndian(number);
            if (count < 1)
                throw new InvalidDataException($"'{path}' holds {count} items.");

            for (var dimension = 1; dimension < (magic & 0xFF); dimension++)
            {
                idx.ReadExactly(number);
                if (BinaryPrimitives.ReadInt32BigEndian(number) is var size && size != Size)
                    throw new InvalidDataException($"'{path}' holds images with a side of {size} pixels; {Size} are wanted.");
            }

            for (var i = 0; i < count; i++)
            {
                var item = new byte[itemLength];
                idx.ReadExactly(item);
                items.Add(item);
            }
        }
        catch (EndOfStreamException e)
        {
            throw new InvalidDataException($"'{path}' ends too early: it is truncated.", e);
        }
    }
}

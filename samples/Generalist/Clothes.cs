using FashionMnist;

namespace GeneralistSample;

/// <summary>Fashion-MNIST as images of 32×32 in colour, and as videos of clothes that move.</summary>
internal static class Clothes
{
    /// <summary>The names of the classes, as words.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. FashionMnistData.ClassNames.Select(NameOf)];

    /// <summary>Where clothes move.</summary>
    public static IReadOnlyList<string> Directions { get; } = ["moving left", "moving right", "moving up", "moving down"];

    private const int Border = (ImageRow.Side - FashionMnistData.Size) / 2;
    private const int Step = 3;   // pixels from frame to frame

    /// <summary>Images with their class.</summary>
    public static ImageRow[] Images(IEnumerable<FashionMnistImage> images) =>
        [
            .. images.Select(image =>
            {
                var plane = new byte[ImageRow.Side * ImageRow.Side];
                Draw(image.Image, Border, Border, (place, grey) => plane[place] = grey);
                return new ImageRow { Image = [.. plane, .. plane, .. plane], Label = NameOf(image.Label) };
            }),
        ];

    /// <summary>Videos of clothes that move, with the direction.</summary>
    public static VideoRow[] Moving(IEnumerable<FashionMnistImage> images, int seed) =>
        Videos(images, seed, (_, direction) => Directions[direction]);

    /// <summary>The same videos with what moves.</summary>
    public static VideoRow[] InMotion(IEnumerable<FashionMnistImage> images, int seed) =>
        Videos(images, seed, (image, _) => NameOf(image.Label));

    private static VideoRow[] Videos(IEnumerable<FashionMnistImage> images, int seed, Func<FashionMnistImage, int, string> label)
    {
        var random = new Random(seed);
        return
        [
            .. images.Select(image =>
            {
                var direction = random.Next(Directions.Count);
                var (x, y) = direction switch
                {
                    0 => (-1, 0),
                    1 => (1, 0),
                    2 => (0, -1),
                    _ => (0, 1),
                };
                var video = new byte[VideoRow.Frames * ImageRow.Side * ImageRow.Side * 3];
                var (startX, startY) = (
                    random.Next(-1, 2) - (x * Step * (VideoRow.Frames - 1) / 2),
                    random.Next(-1, 2) - (y * Step * (VideoRow.Frames - 1) / 2));
                for (var frame = 0; frame < VideoRow.Frames; frame++)
                {
                    var first = frame * ImageRow.Side * ImageRow.Side;
                    Draw(image.Image, Border + startX + (x * Step * frame), Border + startY + (y * Step * frame), (place, grey) =>
                        video.AsSpan((first + place) * 3, 3).Fill(grey));
                }
                return new VideoRow { Video = video, Label = label(image, direction) };
            }),
        ];
    }

    private static void Draw(byte[] grey, int left, int top, Action<int, byte> set)
    {
        for (var y = 0; y < FashionMnistData.Size; y++)
        {
            for (var x = 0; x < FashionMnistData.Size; x++)
            {
                if (top + y is >= 0 and < ImageRow.Side && left + x is >= 0 and < ImageRow.Side)
                    set(((top + y) * ImageRow.Side) + left + x, grey[(y * FashionMnistData.Size) + x]);
            }
        }
    }

    private static string NameOf(string label) => label.ToLowerInvariant().Replace('/', ' ');
}

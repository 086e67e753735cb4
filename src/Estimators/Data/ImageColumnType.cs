using Microsoft.ML.Data;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>What the type of a column says about the images in it.</summary>
/// <param name="Kind">What its values are.</param>
/// <param name="Dimensions">The dimensions of a vector as declared; for a picture its height and width, or none where they vary.</param>
internal sealed record ImageColumnType(ImageColumnKind Kind, IReadOnlyList<int> Dimensions)
{
    /// <summary>What columns we take, for messages.</summary>
    public const string Expected = "an image (MLImage), or a known-size vector of Single or Byte";

    // A picture has 1 (grey) to 4 (colour with transparency) channels: how we tell (C, H, W) from (H, W, C).
    private const int MostChannels = 4;

    private const int BytesPerPixel = 4;   // of a decoded picture, also one that becomes grey

    /// <summary>Reads the type of a column, or returns null where it cannot hold images.</summary>
    public static ImageColumnType? From(DataViewType type) =>
        type switch
        {
            ImageDataViewType image => new(ImageColumnKind.Image, image.Height > 0 && image.Width > 0 ? [image.Height, image.Width] : []),
            VectorDataViewType { IsKnownSize: true } vector when vector.ItemType == NumberDataViewType.Single => new(
                ImageColumnKind.Floats, vector.Dimensions),
            VectorDataViewType { IsKnownSize: true } vector when vector.ItemType == NumberDataViewType.Byte => new(
                ImageColumnKind.Bytes, vector.Dimensions),
            _ => null,
        };

    /// <summary>Whether a column may hold images, as far as can be said before there are data.</summary>
    public static bool CanBe(SchemaShape.Column column) =>
        column.Kind switch
        {
            SchemaShape.Column.VectorKind.Scalar => column.ItemType is ImageDataViewType,
            SchemaShape.Column.VectorKind.Vector => !column.IsKey
                && (column.ItemType == NumberDataViewType.Single || column.ItemType == NumberDataViewType.Byte),
            _ => false,
        };

    /// <summary>The type of a column with these values.</summary>
    public DataViewType ToDataViewType() => Kind switch
    {
        ImageColumnKind.Image => Dimensions.Count == 2 ? new ImageDataViewType(Dimensions[0], Dimensions[1]) : new ImageDataViewType(),
        ImageColumnKind.Bytes => new VectorDataViewType(NumberDataViewType.Byte, Dimensions.ToArray()),
        _ => new VectorDataViewType(NumberDataViewType.Single, Dimensions.ToArray()),
    };

    /// <summary>
    /// The shape of the images and whether the channels come last, from the declared dimensions and from what the caller asks for (null:
    /// whatever the column says).
    /// </summary>
    /// <param name="column">Name of the column, for messages.</param>
    /// <param name="channels">Channels that the caller asks for.</param>
    /// <param name="height">Height that the caller asks for.</param>
    /// <param name="width">Width that the caller asks for.</param>
    /// <param name="usual">What it is where neither the caller nor the column says; null for colour pictures of 224×224, and an error where
    /// a vector does not tell.</param>
    /// <exception cref="ArgumentException">The column's images cannot have that shape, or the column does not tell and the caller does not
    /// either.</exception>
    public (ImageShape Shape, bool ChannelsLast) Resolve(string column, int? channels, int? height, int? width, ImageShape? usual = null)
    {
        if (Kind == ImageColumnKind.Image)
        {
            var picture = new ImageShape(
                channels ?? usual?.Channels ?? 3,
                height ?? Declared(0) ?? usual?.Height ?? 224,
                width ?? Declared(1) ?? usual?.Width ?? 224);
            RequireSize(column, picture, (long)BytesPerPixel * picture.Height * picture.Width);
            return (picture, true);
        }

        var (shape, channelsLast) = Dimensions.Count switch
        {
            3 => ResolveCube(column, channels),
            2 => (new ImageShape(1, Dimensions[0], Dimensions[1]), false),
            _ => (ResolveFlat(column, channels, height ?? usual?.Height, width ?? usual?.Width), false),
        };

        if (shape.Channels != (channels ?? shape.Channels)
            || shape.Height != (height ?? shape.Height)
            || shape.Width != (width ?? shape.Width))
        {
            throw new ArgumentException(
                $"Column '{column}' holds images of {shape}, but the options ask for "
                    + $"{new ImageShape(channels ?? shape.Channels, height ?? shape.Height, width ?? shape.Width)}. "
                    + "Only a column of pictures (MLImage) is resized: leave the size out of the options, or put ResizeImages before "
                    + "ExtractPixels.");
        }
        RequireSize(
            column,
            shape,
            (long)shape.Channels * shape.Height * shape.Width * (Kind == ImageColumnKind.Floats ? sizeof(float) : sizeof(byte)));
        return (shape, channelsLast);

        int? Declared(int dimension) => Dimensions.Count == 2 ? Dimensions[dimension] : null;
    }

    private static void RequireSize(string column, ImageShape shape, long bytes)
    {
        if (bytes > Array.MaxLength)
        {
            throw new ArgumentException(
                $"One image of {shape} in column '{column}' takes {bytes:n0} bytes; at most {Array.MaxLength:n0} are possible. "
                + "Set ImageHeight and ImageWidth to a smaller size for a column of pictures (MLImage), which are resized.");
        }
    }

    // ExtractPixels declares (C, H, W), and (H, W, C) when it interleaves the colours.
    private (ImageShape Shape, bool ChannelsLast) ResolveCube(string column, int? channels)
    {
        var first = MayBeChannels(Dimensions[0]);
        var last = MayBeChannels(Dimensions[2]);
        if (first && last)
        {
            // Both ends fit. ExtractPixels does not interleave unless it is told to.
            last = false;
        }
        return (first, last) switch
        {
            (true, _) => (new(Dimensions[0], Dimensions[1], Dimensions[2]), false),
            (_, true) => (new(Dimensions[2], Dimensions[0], Dimensions[1]), true),
            _ => throw new ArgumentException(
                $"Column '{column}' is a vector with the dimensions ({string.Join(", ", Dimensions)}); wanted (channels, height, width) "
                    + "or (height, width, channels) with "
                    + (channels is { } count ? $"{count} channels." : $"1 to {MostChannels} channels.")),
        };

        bool MayBeChannels(int dimension) => channels is { } wanted ? dimension == wanted : dimension is >= 1 and <= MostChannels;
    }

    private ImageShape ResolveFlat(string column, int? channels, int? height, int? width)
    {
        var length = Dimensions.Aggregate(1, (product, dimension) => checked(product * dimension));
        if (height is not { } h || width is not { } w)
        {
            throw new ArgumentException(
                $"Column '{column}' is a vector of {length} numbers without the dimensions of an image: set ImageHeight and ImageWidth in "
                    + "the options "
                    + "(numbers in the order channels, height, width).");
        }
        var count = channels ?? length / ((long)h * w);
        if (count * h * w != length || count < 1)
        {
            throw new ArgumentException(
                $"Column '{column}' is a vector of {length} numbers; an image of {w}×{h} with "
                    + $"{(channels is { } wanted ? $"{wanted}" : "whole")} channels has "
                    + (channels is null ? $"a multiple of {(long)h * w}." : $"{count * h * w}."));
        }
        return new((int)count, h, w);
    }
}

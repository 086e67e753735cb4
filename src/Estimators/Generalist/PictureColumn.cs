using System.Drawing;
using Microsoft.ML.Data;
using Microsoft.ML.Runtime;
using Microsoft.ML.Transforms.Image;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// A column of images or of videos, and how its values become the numbers of one picture, frame by frame in the order channels, height,
/// width.
/// </summary>
/// <param name="Frame">The image, or what a frame of the video is.</param>
/// <param name="Frames">Frames of a video; null for images.</param>
/// <param name="IsFolder">Whether the values are folders of frames, and not vectors.</param>
internal sealed record PictureColumn(ImageColumn Frame, int? Frames, bool IsFolder)
{
    /// <summary>What columns of videos we take, for messages.</summary>
    public const string ExpectedVideo =
        "a known-size vector of Single or Byte with the dimensions (frames, height, width, channels), or a text that names a folder of "
            + "frames";

    // Frames of a folder where nobody says how many; the paper's number.
    private const int UsualFrames = 8;

    /// <summary>What shows through where a frame of a folder is transparent. Default white.</summary>
    public Color Background { get; init; } = Color.White;

    /// <summary>Name of the column.</summary>
    public string Name => Frame.Name;

    /// <summary>Bytes of a picture, all its frames together.</summary>
    public int ByteCount => checked(Frame.ByteCount * (Frames ?? 1));

    /// <summary>Finds a column of images.</summary>
    /// <inheritdoc cref="ImageColumn.Find"/>
    public static PictureColumn FindImages(IExceptionContext context, DataViewSchema schema, WantedImages wanted) =>
        new(ImageColumn.Find(context, schema, wanted), Frames: null, IsFolder: false);

    /// <summary>Finds a column of videos.</summary>
    /// <param name="context">Marks exceptions as ML.NET does.</param>
    /// <param name="schema">The schema.</param>
    /// <param name="name">Name of the column.</param>
    /// <param name="frames">Frames wanted; null for what the column says, and for folders <paramref name="usual"/>.</param>
    /// <param name="shape">What a frame is where the column does not say: of folders.</param>
    /// <param name="resizing">How frames of another size are brought to this one, of folders.</param>
    /// <param name="usual">Frames of folders where nobody says how many.</param>
    /// <exception cref="ArgumentException">There is no such column, or it cannot hold such videos.</exception>
    public static PictureColumn FindVideos(
        IExceptionContext context,
        DataViewSchema schema,
        string name,
        int? frames,
        ImageShape? shape,
        ImageResizingEstimator.ResizingKind resizing,
        int usual = UsualFrames)
    {
        var column = schema.GetColumnOrNull(name) ?? throw context.ExceptSchemaMismatch(nameof(schema), "video", name);
        if (column.Type is TextDataViewType)
        {
            if (shape is not { } size)
                throw NoFrameShape(name);
            return new(
                new ImageColumn(name, new ImageColumnType(ImageColumnKind.Image, []), size, ChannelsLast: true, resizing),
                frames ?? usual,
                IsFolder: true);
        }

        if (column.Type is not VectorDataViewType { IsKnownSize: true, Dimensions.Length: 4 } vector
            || ImageColumnType.From(vector) is not { } type)
            throw context.ExceptSchemaMismatch(nameof(schema), "video", name, ExpectedVideo, column.Type.ToString());
        var dimensions = vector.Dimensions;
        if (frames is { } wanted && wanted != dimensions[0])
            throw new ArgumentException(
                $"Column '{name}' has videos of {dimensions[0]} frames, but {wanted} are wanted; leave the number of frames out of the "
                    + "options.");
        var found = new ImageShape(dimensions[3], dimensions[1], dimensions[2]);
        if (shape is { } asked && asked != found)
            throw new ArgumentException(
                $"Column '{name}' has frames of {found}; the model's images are of {asked}. Both must be of one size.");
        return new(
            new ImageColumn(
                name, new ImageColumnType(type.Kind, [found.Height, found.Width, found.Channels]), found, ChannelsLast: true, resizing),
            dimensions[0],
            IsFolder: false);
    }

    /// <summary>Whether a column may hold videos, as far as can be said before there are data.</summary>
    public static bool CanBeVideos(SchemaShape.Column column) => column.Kind switch
    {
        SchemaShape.Column.VectorKind.Scalar => column.ItemType == TextDataViewType.Instance,
        SchemaShape.Column.VectorKind.Vector => ImageColumnType.CanBe(column),
        _ => false,
    };

    /// <summary>The error of a column of folders where nothing says what a frame is.</summary>
    public static ArgumentException NoFrameShape(string name) =>
        new(
            $"Column '{name}' names folders of frames, which do not tell their size: set Channels, ImageHeight and ImageWidth in the "
                + "options.");

    /// <summary>Finds a column that can stand in for this one in another schema.</summary>
    /// <exception cref="ArgumentException">There is no such column, or its pictures differ.</exception>
    public PictureColumn FindIn(IExceptionContext context, DataViewSchema schema)
    {
        if (Frames is null)
            return this with { Frame = Frame.FindIn(context, schema) };
        var found = FindVideos(context, schema, Name, Frames, Frame.Shape, Frame.Resizing);
        if (found.IsFolder != IsFolder || found.Frame.Type.Kind != Frame.Type.Kind)
            throw context.ExceptSchemaMismatch(
                nameof(schema), "video", Name, IsFolder ? "a text, as in training" : $"a vector of {Frame.Type.Kind}, as in training",
                schema[Name].Type.ToString());
        return found with { Background = Background };
    }

    /// <summary>Reads the pictures of the rows that <paramref name="row"/> moves over.</summary>
    /// <param name="row">A row in which the column is active.</param>
    public ImageReader OpenReader(DataViewRow row)
    {
        if (Frames is not { } frames)
            return Frame.OpenReader(row);
        var column = row.Schema[Name];
        return (IsFolder, Frame.Type.Kind) switch
        {
            (true, _) => new FrameFolderReader(
                row.GetGetter<ReadOnlyMemory<char>>(column), Frame, frames, PictureDecoding.Usual with { Background = Background }),
            (_, ImageColumnKind.Bytes) => new VideoVectorReader<byte>(row.GetGetter<VBuffer<byte>>(column), Frame, frames),
            _ => new VideoVectorReader<float>(row.GetGetter<VBuffer<float>>(column), Frame, frames),
        };
    }
}

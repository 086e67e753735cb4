using Microsoft.ML.Data;
using Microsoft.ML.MoE.Models;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads pictures and texts of the rows that a cursor moves over.</summary>
internal sealed class GeneralistRowReader
{
    private readonly PictureColumn? imageColumn;
    private readonly PictureColumn? videoColumn;
    private readonly Func<string>? text;
    private readonly Func<string>? secondText;

    /// <summary>Opens the columns of a row.</summary>
    /// <param name="row">The row.</param>
    /// <param name="images">The column of images; null for none.</param>
    /// <param name="videos">The column of videos; null for none.</param>
    /// <param name="text">The column of texts; null for none.</param>
    /// <param name="secondText">The column of second texts; null for none.</param>
    public GeneralistRowReader(DataViewRow row, PictureColumn? images, PictureColumn? videos, string? text, string? secondText)
    {
        (imageColumn, videoColumn) = (images, videos);
        (Images, Videos) = (images?.OpenReader(row), videos?.OpenReader(row));
        this.text = text is null ? null : TextOf(row, text);
        this.secondText = secondText is null ? null : TextOf(row, secondText);
    }

    /// <summary>The reader of images, which counts those that cannot be read.</summary>
    public ImageReader? Images { get; }

    /// <summary>The reader of videos, which counts those that cannot be read.</summary>
    public ImageReader? Videos { get; }

    /// <summary>The reader of the pictures that a task reads.</summary>
    public ImageReader PicturesOf(GeneralistTask task) => (task.Kind.InputModality() == Routing.TokenModality.Video ? Videos : Images)!;

    /// <summary>The picture that a task reads; null where it is missing or cannot be read.</summary>
    public byte[]? ReadPicture(GeneralistTask task)
    {
        var column = task.Kind.InputModality() == Routing.TokenModality.Video ? videoColumn : imageColumn;
        var picture = new byte[column!.ByteCount];
        return PicturesOf(task).TryRead(picture) ? picture : null;
    }

    /// <summary>The row's text, empty where it is missing.</summary>
    public string ReadText() => text!();

    /// <summary>The row's second text, empty where it is missing.</summary>
    public string ReadSecondText() => secondText!();

    /// <summary>Reads a column of texts.</summary>
    public static Func<string> TextOf(DataViewRow row, string name)
    {
        var getter = row.GetGetter<ReadOnlyMemory<char>>(row.Schema[name]);
        ReadOnlyMemory<char> value = default;
        return () =>
        {
            getter(ref value);
            return value.ToString();
        };
    }
}

using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads images that are decoded pictures, and brings them to the model's size.</summary>
/// <remarks>
/// Whoever makes a picture owns it. ML.NET's transforms dispose the one that they gave out last when it is handed back to them, which is
/// why the same variable goes into every call. A picture that came out of the caller's own objects is left alone, so that the same data can
/// be read again.
/// </remarks>
internal sealed class PictureReader(ValueGetter<MLImage> getter, ImageColumn column) : ImageReader(column)
{
    // A picture that is missing can look like one that is disposed, but not before one has been read, and rarely more often than not.
    private const int FewestOfMany = 8;

    // All that ML.NET says. (Where it says it cannot be told from the exception: the methods are short, and inlined once they are hot.)
    private static readonly string DisposedMessage = MessageOfDisposed();

    private readonly PictureResizer resizer = new(column.Shape, column.Resizing);
    private MLImage? picture;
    private int read;
    private int disposed;

    /// <inheritdoc/>
    public override MLImage? Picture => picture;

    private protected override bool TryGet(Span<byte> destination)
    {
        var last = picture;
        try
        {
            getter(ref picture!);
        }
        catch (InvalidOperationException exception) when (exception.Message == DisposedMessage)
        {
            // A step has met a picture that is disposed: the caller's, or what a step before it left in place of a missing one (see below).
            disposed++;
            if (read == 0 || disposed > Math.Max(read, FewestOfMany))
                throw Disposed(exception);
            throw;
        }
        if (picture is null)
            return false;
        if (IsDisposed(picture))
        {
            // Where ResizeImages gets no picture, it disposes the one that is handed back to it and leaves it in its place.
            return ReferenceEquals(picture, last) ? false : throw Disposed(null);
        }
        read++;
        var box = Crop?.Invoke(picture.Height, picture.Width);
        resizer.Write(new(picture.Pixels, picture.Width, picture.Height, picture.PixelFormat), box, destination);
        GC.KeepAlive(picture);
        return true;
    }

    private ObjectDisposedException Disposed(Exception? inner) =>
        new(
            $"The pictures in column '{Column.Name}' have been disposed, by an earlier pass over the data or by the program. ML.NET's "
                + "ResizeImages disposes pictures that were made in memory and have its size already: leave that step out, since pictures "
                + "of any size are taken, or load them from files.",
            inner);

    private static string MessageOfDisposed()
    {
        var picture = MLImage.CreateFromPixels(1, 1, MLPixelFormat.Rgba32, new byte[4]);
        picture.Dispose();
        try
        {
            _ = picture.Width;
            return "";
        }
        catch (InvalidOperationException exception)
        {
            return exception.Message;
        }
    }

    private static bool IsDisposed(MLImage picture)
    {
        try
        {
            return picture.Width < 0;
        }
        catch (InvalidOperationException)   // the only way in which it tells
        {
            return true;
        }
    }
}

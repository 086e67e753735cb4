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
    private readonly PictureResizer resizer = new(column.Shape, column.Resizing);
    private MLImage? picture;

    private protected override bool TryGet(Span<byte> destination)
    {
        getter(ref picture!);
        if (picture is null || IsDisposed(picture))
            return false;
        resizer.Write(picture, destination);
        return true;
    }

    // Where ResizeImages gets no picture, it disposes the one that is handed back to it and leaves it in its place.
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

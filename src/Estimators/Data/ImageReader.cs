using Microsoft.ML.Data;
using Microsoft.ML.MoE.Augmentation;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads the image of the current row. Bound to one row or cursor, and to one thread at a time.</summary>
/// <param name="column">The column it is in.</param>
internal abstract class ImageReader(ImageColumn column)
{
    /// <summary>The rows without an image so far.</summary>
    public UnreadableImages Unreadable { get; } = new(column.Name);

    /// <summary>Bytes of one image.</summary>
    public int ByteCount => column.ByteCount;

    /// <summary>The part of the current row's picture that is wanted, given its height and width; null for what resizing takes.</summary>
    public Func<int, int, ImageBox>? Crop { get; set; }

    /// <summary>
    /// The current row's picture at its own size, valid until the next is read; null where the column holds none.
    /// </summary>
    public virtual MLImage? Picture => null;

    private protected ImageColumn Column => column;

    /// <summary>Writes the current row's image in the order channels, height, width.</summary>
    /// <param name="destination">Receives <see cref="ImageColumn.ByteCount"/> bytes; its contents are undefined when there is no
    /// image.</param>
    /// <returns>False where the row has no image: a missing picture, one that cannot be read, an empty vector, or one with a NaN or an
    /// infinity in it.</returns>
    /// <exception cref="InvalidOperationException">The row's vector has another length than the model's.</exception>
    /// <remarks>What does not say that this one picture is unreadable is thrown as it is: see <see cref="PictureFailures"/>.</remarks>
    public bool TryRead(Span<byte> destination)
    {
        var there = false;
        string? failure = null;
        try
        {
            there = TryGet(destination);
        }
        catch (Exception exception) when (PictureFailures.IsOfOnePicture(exception))
        {
            // One bad file must not end hours of training, nor the scoring of all other rows.
            failure = exception.Message;
        }
        if (there && TryTake(destination))
            return true;
        Unreadable.Add(failure);
        return false;
    }

    /// <summary>
    /// Gets the row's value, and writes it if that can show that a picture is unreadable; failures that say so are counted.
    /// </summary>
    /// <returns>False where there is none.</returns>
    private protected abstract bool TryGet(Span<byte> destination);

    /// <summary>Writes the value that was got, where that has not been done; failures are thrown.</summary>
    /// <returns>False where it is no image.</returns>
    private protected virtual bool TryTake(Span<byte> destination) => true;

    /// <summary>Checks the length of a vector.</summary>
    /// <exception cref="InvalidOperationException">It is another.</exception>
    private protected void RequireLength(int length, int wanted, string what)
    {
        if (length != wanted)
            throw new InvalidOperationException(
                $"A row has a vector of {length} numbers in column '{Column.Name}'; the model's {what} {wanted}.");
    }
}

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads the image of the current row. Bound to one row or cursor, and to one thread at a time.</summary>
/// <param name="column">The column it is in.</param>
internal abstract class ImageReader(ImageColumn column)
{
    /// <summary>The rows without an image so far.</summary>
    public UnreadableImages Unreadable { get; } = new(column.Name);

    private protected ImageColumn Column => column;

    /// <summary>Writes the current row's image in the order channels, height, width.</summary>
    /// <param name="destination">Receives <see cref="ImageColumn.ByteCount"/> bytes; its contents are undefined when there is no image.</param>
    /// <returns>False where the row has no image: a missing picture, one that cannot be read, or a vector with a NaN or an infinity in it.</returns>
    public bool TryRead(Span<byte> destination)
    {
        string? failure = null;
        try
        {
            if (TryReadCore(destination))
                return true;
        }
        catch (Exception exception) when (exception is not (OperationCanceledException or OutOfMemoryException))
        {
            // Decoders and file systems report a bad image in many ways. One bad file must not end hours of training, nor the scoring of all other rows.
            failure = exception.Message;
        }
        Unreadable.Add(failure);
        return false;
    }

    /// <inheritdoc cref="TryRead"/>
    private protected abstract bool TryReadCore(Span<byte> destination);
}

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads the image of the current row. Bound to one row or cursor, and to one thread at a time.</summary>
internal abstract class ImageReader
{
    /// <summary>Writes the current row's image in the order channels, height, width.</summary>
    /// <param name="destination">Receives <see cref="ImageColumn.ByteCount"/> bytes; its contents are undefined when there is no image.</param>
    /// <returns>False where the row has no image: a missing picture, or a vector with a NaN or an infinity in it.</returns>
    public abstract bool TryRead(Span<byte> destination);
}

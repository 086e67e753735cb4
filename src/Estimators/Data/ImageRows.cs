using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads the rows that have a label and an image that can be read; counts those that have not.</summary>
internal sealed class ImageRows : IDisposable
{
    private readonly DataViewRowCursor cursor;
    private readonly Func<int?> readLabel;
    private readonly ImageReader imageReader;
    private readonly byte[] image;

    public ImageRows(ImageData data)
    {
        var schema = data.View.Schema;
        cursor = data.View.GetRowCursor(schema[data.Images.Name], schema[data.Labels.Name]);
        readLabel = data.Labels.OpenReader(cursor);
        imageReader = data.Images.OpenReader(cursor);
        image = new byte[data.Images.ByteCount];
    }

    /// <summary>The row that <see cref="MoveNext"/> moved to; its image is overwritten by the next.</summary>
    public ImageExample Current { get; private set; }

    /// <summary>Rows passed by that have no label.</summary>
    public long MissingLabels { get; private set; }

    /// <summary>Rows passed by that have a label but no readable image.</summary>
    public long UnreadableImages { get; private set; }

    /// <summary>Why the first unreadable image could not be read; null where it was simply missing.</summary>
    public string? FirstFailure { get; private set; }

    /// <summary>Moves to the next usable row.</summary>
    /// <returns>False after the last one.</returns>
    public bool MoveNext(CancellationToken cancellationToken)
    {
        while (cursor.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (readLabel() is not { } label)
            {
                MissingLabels++;
            }
            else if (!TryReadImage())
            {
                UnreadableImages++;
            }
            else
            {
                Current = new ImageExample(image, label);
                return true;
            }
        }
        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => cursor.Dispose();

    private bool TryReadImage()
    {
        try
        {
            return imageReader.TryRead(image);
        }
        catch (Exception exception) when (exception is not (OperationCanceledException or OutOfMemoryException))
        {
            // Decoders and file systems report a bad image in many ways. One bad file must not end hours of training: it is counted, and the first is reported in full.
            FirstFailure ??= exception.Message;
            return false;
        }
    }
}

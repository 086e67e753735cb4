using Microsoft.ML.Data;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Reads the rows that have a label, where labels are wanted, and an image that can be read; counts those that have not.</summary>
internal sealed class ImageRows : IImageRows
{
    private readonly DataViewRowCursor cursor;
    private readonly Func<int?> readLabel;
    private readonly Func<int, float> readWeight;
    private readonly ImageReader imageReader;
    private readonly byte[] image;

    /// <summary>Opens the rows.</summary>
    /// <param name="data">What to read.</param>
    /// <param name="crops">The parts of pictures that are wanted; null for what resizing takes.</param>
    public ImageRows(ImageData data, PictureCrops? crops) : this(data, data.View.GetRowCursor(data.Columns), crops)
    {
    }

    /// <summary>Reads a cursor's rows.</summary>
    /// <param name="data">What the cursor is over.</param>
    /// <param name="cursor">The cursor, with the columns of the data; it is disposed with this.</param>
    /// <param name="crops">The parts of pictures that are wanted; null for what resizing takes.</param>
    public ImageRows(ImageData data, DataViewRowCursor cursor, PictureCrops? crops)
    {
        this.cursor = cursor;
        readLabel = data.Labels is null ? static () => 0 : data.Labels.OpenReader(cursor);
        readWeight = data.Weights is null ? static _ => 1 : data.Weights.OpenReader(cursor);
        imageReader = data.Images.OpenReader(cursor);
        if (crops is not null)
            imageReader.Crop = (height, width) => crops.Draw(RowNumber, height, width);
        image = new byte[data.Images.ByteCount];
    }

    /// <summary>The row that <see cref="MoveNext(CancellationToken)"/> moved to; its image is overwritten by the next.</summary>
    public ImageExample Current { get; private set; }

    /// <summary>Number of that row in the data, from 0, unusable rows counted.</summary>
    public int RowNumber { get; private set; } = -1;

    /// <summary>Its picture at its own size, valid until the next is read; null where the column holds none.</summary>
    public MLImage? Picture => imageReader.Picture;

    /// <summary>Rows passed by that have no label.</summary>
    public long MissingLabels { get; private set; }

    /// <summary>Rows passed by that have a label but no readable image.</summary>
    public UnreadableImages Unreadable => imageReader.Unreadable;

    /// <summary>Moves to the next usable row.</summary>
    /// <returns>False after the last one.</returns>
    public bool MoveNext(CancellationToken cancellationToken) => MoveNext(_ => true, cancellationToken);

    /// <summary>
    /// Moves to the next usable row, or to one whose image is not wanted: that is taken to be usable, and its example has no pixels.
    /// </summary>
    /// <param name="isWanted">Whether the image of a row, by its number, is wanted.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    /// <returns>False after the last one.</returns>
    public bool MoveNext(Func<int, bool> isWanted, CancellationToken cancellationToken)
    {
        while (cursor.MoveNext())
        {
            cancellationToken.ThrowIfCancellationRequested();
            RowNumber = checked(RowNumber + 1);
            if (readLabel() is not { } label)
            {
                MissingLabels++;
            }
            else if (!isWanted(RowNumber))
            {
                Current = new ImageExample(default, label, RowNumber, readWeight(RowNumber));
                return true;
            }
            else if (imageReader.TryRead(image))
            {
                Current = new ImageExample(image, label, RowNumber, readWeight(RowNumber));
                return true;
            }
        }
        return false;
    }

    /// <inheritdoc/>
    public void Dispose() => cursor.Dispose();
}

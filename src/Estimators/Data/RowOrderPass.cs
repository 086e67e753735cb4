namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Checks that one pass over a data view has the order of the first. A label that differs decides. So does an image that was another row's,
/// where it is one of many or the images have only changed places: a step of the pipeline that changes images at random (a mirror, where
/// the data hold mirrored images too) can make one look like another's.
/// </summary>
/// <param name="order">The order of the first pass.</param>
internal sealed class RowOrderPass(RowOrder order)
{
    private const int Many = 16;

    private (int Row, int From)? first;
    private long same;
    private long moved;
    private ulong difference;   // of the images in rows whose image was another's, to those that were there: 0 where they are the same ones

    /// <summary>Checks a row.</summary>
    /// <param name="row">Its number.</param>
    /// <param name="example">What it holds; without pixels, only the label is checked.</param>
    /// <exception cref="InvalidOperationException">The order is another.</exception>
    public void Require(int row, ImageExample example)
    {
        if (!order.RequireLabel(row, example) || example.Pixels.IsEmpty)
            return;
        var hash = RowOrder.HashOf(example);
        if (hash == order.HashAt(row))
        {
            same++;
            return;
        }
        if (order.RowOf(hash) is not { } from)
            return;   // changed where it is, or mended
        first ??= (row, from);
        moved++;
        difference ^= hash ^ order.HashAt(row);
        if (moved >= Many && moved > 4 * same)
            throw order.Moved(first.Value.Row, first.Value.From);
    }

    /// <summary>The pass has ended.</summary>
    /// <exception cref="InvalidOperationException">The order is another.</exception>
    public void Complete()
    {
        if (first is { } place && (difference == 0 || moved > 2 * same))
            throw order.Moved(place.Row, place.From);
    }
}

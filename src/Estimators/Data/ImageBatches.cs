// Examples become batches of normalised tensors on the model's device.
//
// Axes: N = images of a batch.

using Microsoft.ML.MoE.Objectives;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Puts examples together into batches.</summary>
internal sealed class ImageBatches(ImageColumn column, PixelNormalization normalization, Device device, int batchSize)
{
    /// <summary>Images of a batch; the last one of an epoch may have fewer.</summary>
    public int BatchSize => batchSize;

    /// <summary>Makes the batches; the caller disposes each.</summary>
    /// <param name="examples">What they are made of.</param>
    /// <param name="count">How many of the examples.</param>
    /// <param name="isMirrored">Whether the image of a row is to be mirrored; null where that is not decided here.</param>
    public IEnumerable<ImageBatch> From(IEnumerable<ImageExample> examples, int count, Func<int, bool>? isMirrored = null)
    {
        using var reader = examples.GetEnumerator();
        for (var left = count; left > 0; left -= batchSize)
        {
            if (Next(reader, Math.Min(left, batchSize), isMirrored) is not { } batch)
                yield break;
            yield return batch;
        }
    }

    private ImageBatch? Next(IEnumerator<ImageExample> reader, int size, Func<int, bool>? isMirrored)
    {
        using var scope = NewDisposeScope();
        using var images = new ImageBuffer(column, size);
        var (labels_N, rows_N) = (new long[size], new int[size]);
        var filled = Fill(reader, images, labels_N, rows_N);
        if (filled == 0)
            return null;
        return new ImageBatch(
            normalization.Apply(images.First(filled), device),
            tensor(labels_N.AsSpan(0, filled).ToArray(), dtype: int64, device: device),
            isMirrored is null ? null : tensor(rows_N.Take(filled).Select(isMirrored).ToArray(), device: device)
        );   // owns them from here on
    }

    private static int Fill(IEnumerator<ImageExample> reader, ImageBuffer images, long[] labels_N, int[] rows_N)
    {
        var filled = 0;
        while (filled < labels_N.Length && reader.MoveNext())
        {
            reader.Current.Pixels.Span.CopyTo(images[filled]);
            rows_N[filled] = reader.Current.Row;
            labels_N[filled++] = reader.Current.Label;
        }
        GC.KeepAlive(images);
        return filled;
    }
}

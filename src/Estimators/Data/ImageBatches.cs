// Examples become batches of normalised tensors on the model's device.
//
// Axes: N = images of a batch, C = channels, H = height, W = width.

using Microsoft.ML.MoE.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Puts examples together into batches.</summary>
internal sealed class ImageBatches(ImageColumn column, PixelNormalization normalization, Device device, int batchSize)
{
    /// <summary>Images of a batch; the last one of an epoch may have fewer.</summary>
    public int BatchSize => batchSize;

    /// <summary>Makes the batches; the caller disposes each.</summary>
    public IEnumerable<ImageBatch> From(IEnumerable<ImageExample> examples, int count)
    {
        using var reader = examples.GetEnumerator();
        for (var left = count; left > 0; left -= batchSize)
        {
            if (Next(reader, Math.Min(left, batchSize)) is not { } batch)
                yield break;
            yield return batch;
        }
    }

    private ImageBatch? Next(IEnumerator<ImageExample> reader, int size)
    {
        using var scope = NewDisposeScope();
        var shape = column.Shape;
        var numbers_NCHW = empty([size, shape.Channels, shape.Height, shape.Width], dtype: column.NumberType);
        var labels_N = new long[size];
        var filled = Fill(reader, numbers_NCHW, labels_N);
        if (filled == 0)
            return null;
        return new ImageBatch(
            normalization.Apply(numbers_NCHW.narrow(0, 0, filled), device), tensor(labels_N.AsSpan(0, filled).ToArray(), dtype: int64, device: device));   // owns them from here on
    }

    private int Fill(IEnumerator<ImageExample> reader, Tensor numbers_NCHW, long[] labels_N)
    {
        var bytes = numbers_NCHW.bytes;
        var filled = 0;
        while (filled < labels_N.Length && reader.MoveNext())
        {
            reader.Current.Pixels.Span.CopyTo(bytes[(filled * column.ByteCount)..]);
            labels_N[filled++] = reader.Current.Label;
        }
        GC.KeepAlive(numbers_NCHW);   // the span alone does not keep the tensor's memory
        return filled;
    }
}

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
    /// <param name="weightOf">What the loss of an example is multiplied by; null for 1.</param>
    public IEnumerable<ImageBatch> From(
        IEnumerable<ImageExample> examples, int count, Func<int, bool>? isMirrored = null, Func<ImageExample, float>? weightOf = null)
    {
        using var reader = examples.GetEnumerator();
        for (var left = count; left > 0; left -= batchSize)
        {
            if (Next(reader, Math.Min(left, batchSize), isMirrored, weightOf) is not { } batch)
                yield break;
            yield return batch;
        }
    }

    private ImageBatch? Next(
        IEnumerator<ImageExample> reader, int size, Func<int, bool>? isMirrored, Func<ImageExample, float>? weightOf)
    {
        using var scope = NewDisposeScope();
        using var images = new ImageBuffer(column, size);
        var facts_N = new List<ImageExample>(size);   // without pixels, which the next one overwrites
        while (facts_N.Count < size && reader.MoveNext())
        {
            reader.Current.Pixels.Span.CopyTo(images[facts_N.Count]);
            facts_N.Add(reader.Current with { Pixels = default });
        }
        if (facts_N.Count == 0)
            return null;
        return new ImageBatch(
            normalization.Apply(images.First(facts_N.Count), device),
            tensor(facts_N.Select(example => (long)example.Label).ToArray(), dtype: int64, device: device),
            isMirrored is null ? null : tensor(facts_N.Select(example => isMirrored(example.Row)).ToArray(), device: device),
            weightOf is null ? null : tensor(facts_N.Select(weightOf).ToArray(), device: device)
        );   // owns them from here on
    }
}

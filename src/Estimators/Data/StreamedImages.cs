using System.Collections;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Examples that are read from the data anew each time; shuffled through a pool: each example that leaves it is drawn at random, and the next one read takes its place.</summary>
/// <param name="data">Where to read.</param>
/// <param name="count">Number of examples.</param>
/// <param name="poolSize">Examples in the pool.</param>
/// <param name="members">Which of the data's usable rows belong to the set; null for all.</param>
internal sealed class StreamedImages(ImageData data, int count, int poolSize, BitArray? members = null) : IImageExamples
{
    /// <inheritdoc/>
    public int Count => count;

    /// <inheritdoc/>
    public IEnumerable<ImageExample> InOrder(CancellationToken cancellationToken)
    {
        using var rows = data.Open();
        for (var ordinal = 0; rows.MoveNext(cancellationToken); ordinal++)
        {
            if (members is null || (ordinal < members.Count && members[ordinal]))
                yield return rows.Current;
        }
    }

    /// <inheritdoc/>
    public IEnumerable<ImageExample> Shuffled(Random random, CancellationToken cancellationToken)
    {
        var pixels = new List<byte[]>();
        var labels = new List<int>();
        byte[]? spare = null;
        foreach (var example in InOrder(cancellationToken))
        {
            if (pixels.Count < poolSize)
            {
                pixels.Add(example.Pixels.ToArray());
                labels.Add(example.Label);
                continue;
            }

            var drawn = random.Next(pixels.Count);
            var leaving = new ImageExample(pixels[drawn], labels[drawn]);
            var next = spare ?? new byte[example.Pixels.Length];
            example.Pixels.CopyTo(next);
            spare = pixels[drawn];   // free again when the consumer asks for the next example
            pixels[drawn] = next;
            labels[drawn] = example.Label;
            yield return leaving;
        }

        int[] rest = [.. Enumerable.Range(0, pixels.Count)];
        random.Shuffle(rest);
        foreach (var index in rest)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return new ImageExample(pixels[index], labels[index]);
        }
    }

    /// <inheritdoc/>
    public IImageExamples Where(BitArray chosen)
    {
        // Bits of this set's examples become bits of the data's usable rows.
        var mask = new BitArray(members?.Count ?? count);
        var (position, kept) = (0, 0);
        for (var ordinal = 0; ordinal < mask.Count; ordinal++)
        {
            if (members is not null && !members[ordinal])
                continue;
            if (chosen[position++])
            {
                mask[ordinal] = true;
                kept++;
            }
        }
        return new StreamedImages(data, kept, poolSize, mask);
    }
}

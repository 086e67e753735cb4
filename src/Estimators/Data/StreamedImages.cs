using System.Collections;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Examples that are read from the data anew each time; shuffled through a pool: each example that leaves it is drawn at random, and the next one read takes its place.</summary>
/// <param name="data">Where to read.</param>
/// <param name="members">
/// The rows of the data that belong to the set. Rows are told apart by their number in the data: one that cannot be read any more, a file that has gone, say, then moves no other
/// row in or out of the set.
/// </param>
/// <param name="count">Number of members.</param>
/// <param name="poolSize">Examples in the pool.</param>
/// <param name="channel">Receives a warning after a pass in which members could not be read.</param>
internal sealed class StreamedImages(ImageData data, BitArray members, int count, int poolSize, IChannel channel) : IImageExamples
{
    /// <inheritdoc/>
    public int Count => count;

    /// <inheritdoc/>
    public IEnumerable<ImageExample> InOrder(CancellationToken cancellationToken)
    {
        using var rows = data.Open();
        var read = 0;
        while (rows.MoveNext(cancellationToken))
        {
            if (rows.RowNumber < members.Count && members[rows.RowNumber])
            {
                read++;
                yield return rows.Current;
            }
        }

        if (read < count)
        {
            channel.Warning(
                MessageSensitivity.None,
                $"{count - read:n0} of {count:n0} rows could be used in the first pass over the data and cannot be in a later one, which goes without them: "
                + $"of all rows now {rows.MissingLabels:n0} have no label, {rows.Unreadable}.");
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
        // Bits of this set's examples become bits of the data's rows.
        var mask = new BitArray(members.Count);
        var (position, kept) = (0, 0);
        for (var row = 0; row < mask.Count; row++)
        {
            if (members[row] && chosen[position++])
            {
                mask[row] = true;
                kept++;
            }
        }
        return new StreamedImages(data, mask, kept, poolSize, channel);
    }
}

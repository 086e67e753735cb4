using System.Collections;
using Microsoft.ML.MoE.Augmentation;
using Microsoft.ML.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// Examples that are read from the data anew each time; shuffled through a pool: each example that leaves it is drawn at random, and the
/// next one read takes its place.
/// </summary>
/// <remarks>
/// Rows are told apart by their number in the data: one that cannot be read any more, a file that has gone, say, then moves no other row in
/// or out of the set. Every pass is checked to have the order of the first: the labels of all rows, and the images of those that are
/// wanted, the only ones that are decoded.
/// </remarks>
internal sealed class StreamedImages : IImageExamples
{
    private readonly ImageData data;
    private readonly RowOrder order;
    private readonly BitArray members;   // by row
    private readonly int count;
    private readonly int poolSize;
    private readonly IChannel channel;
    private readonly RandomResizedCrop? crop;

    /// <summary>All usable rows.</summary>
    /// <param name="data">Where to read.</param>
    /// <param name="order">Its usable rows.</param>
    /// <param name="poolSize">Examples in the pool.</param>
    /// <param name="channel">Receives a warning after a pass in which members could not be read.</param>
    /// <param name="crop">What is cut out of pictures, at their own size, when they are shuffled; null for nothing.</param>
    public StreamedImages(ImageData data, RowOrder order, int poolSize, IChannel channel, RandomResizedCrop? crop = null)
        : this(data, order, order.Usable, poolSize, channel, crop) { }

    private StreamedImages(ImageData data, RowOrder order, BitArray members, int poolSize, IChannel channel, RandomResizedCrop? crop)
    {
        (this.data, this.order, this.members, this.poolSize, this.channel, this.crop) = (data, order, members, poolSize, channel, crop);
        count = members.Cast<bool>().Count(member => member);
    }

    /// <inheritdoc/>
    public int Count => count;

    /// <inheritdoc/>
    public IEnumerable<ImageExample> InOrder(CancellationToken cancellationToken) => Read((_, _) => true, crops: null, cancellationToken);

    /// <inheritdoc/>
    public IEnumerable<ImageExample> Shuffled(Random random, int skip, int[]? times, CancellationToken cancellationToken)
    {
        var crops = PictureCrops.Of(crop, random);
        var plan = skip > 0 ? Plan(random, skip, times?.Sum() ?? count) : null;
        var pool = new List<(byte[] Pixels, ImageExample Example)>();
        byte[]? spare = null;
        var draws = 0;
        foreach (var example in ReadTimes(times, position => plan?.Skipped[position] != true, crops, cancellationToken))
        {
            if (pool.Count < poolSize)
            {
                var copy = example.Pixels.ToArray();
                pool.Add((copy, example with { Pixels = copy }));
                continue;
            }

            var drawn = plan?.Draws[draws] ?? random.Next(pool.Count);
            draws++;
            var leaving = pool[drawn];
            var next = spare?.Length == example.Pixels.Length ? spare : new byte[example.Pixels.Length];
            example.Pixels.CopyTo(next);
            spare = leaving.Pixels;   // free again when the consumer asks for the next example
            pool[drawn] = (next, example with { Pixels = next });
            if (draws > skip)
                yield return leaving.Example;
        }

        // More are planned where an example was lost.
        foreach (var index in (plan?.Leftover ?? Permutation(random, pool.Count)).Skip(skip - draws).Where(index => index < pool.Count))
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return pool[index].Example;
        }
    }

    /// <summary>
    /// What the pool will do, found out with positions in place of images: which place of it is drawn each time, in which order the rest
    /// leaves, and which examples are among the first that leave.
    /// </summary>
    private ShufflePlan Plan(Random random, int skip, int total)
    {
        var pool = Enumerable.Range(0, Math.Min(poolSize, total)).ToArray();
        var draws = new int[total - pool.Length];
        var skipped = new BitArray(total);
        for (var i = 0; i < draws.Length; i++)
        {
            draws[i] = random.Next(pool.Length);
            if (i < skip)
                skipped[pool[draws[i]]] = true;
            pool[draws[i]] = pool.Length + i;
        }
        var rest = Permutation(random, pool.Length);
        foreach (var index in rest.Take(skip - draws.Length))
            skipped[pool[index]] = true;
        return new ShufflePlan(draws, rest, skipped);
    }

    private static int[] Permutation(Random random, int count)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        random.Shuffle(order);
        return order;
    }

    /// <summary>Reads the members, each as many times as is said, one right after the other.</summary>
    /// <param name="times">How often, by the member's position; null for once each.</param>
    /// <param name="isWanted">Whether the image is wanted, by the position among all that is given.</param>
    /// <param name="crops">The parts of the pictures; null for the whole ones.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    private IEnumerable<ImageExample> ReadTimes(
        int[]? times, Func<int, bool> isWanted, PictureCrops? crops, CancellationToken cancellationToken)
    {
        if (times is null)
        {
            foreach (var example in Read((_, read) => isWanted(read), crops, cancellationToken))
                yield return example;
            yield break;
        }

        var (row, position, given) = (0, 0, 0);
        foreach (var example in Read(
            (at, _) => Enumerable.Range(given, times[PositionOf(at)]).Any(isWanted), crops, cancellationToken))
        {
            var copies = times[PositionOf(example.Row)];
            for (var copy = 0; copy < copies; copy++)
                yield return example;
            given += copies;
        }

        // By the row: a member before it may have been lost, and then nothing of it is given.
        int PositionOf(int member)
        {
            for (; row < member; row++)
                position += members[row] ? 1 : 0;
            return position;
        }
    }

    /// <summary>Reads the members, and checks the order of all rows on the way.</summary>
    /// <param name="isWanted">Whether the image of a member is wanted, by its row and by how many were read before it.</param>
    /// <param name="crops">The parts of the pictures; null for the whole ones, which alone can be compared with those of the first
    /// pass.</param>
    /// <param name="cancellationToken">Stops the reading.</param>
    private IEnumerable<ImageExample> Read(
        Func<int, int, bool> isWanted, PictureCrops? crops, CancellationToken cancellationToken)
    {
        using var rows = data.Open(crops);
        var pass = order.StartPass();
        var read = 0;
        bool IsMember(int row) => row < members.Count && members[row];
        while (rows.MoveNext(row => IsMember(row) && read < count && isWanted(row, read), cancellationToken))
        {
            pass.Require(rows.RowNumber, crops is null ? rows.Current : rows.Current with { Pixels = default });
            if (IsMember(rows.RowNumber))
            {
                read++;
                yield return rows.Current;
            }
        }

        pass.Complete();
        if (read < count)
        {
            channel.Warning(
                MessageSensitivity.None,
                $"{count - read:n0} of {count:n0} rows could be used in the first pass over the data and cannot be in a later one, which "
                    + "goes without them: "
                    + $"of all rows now {rows.MissingLabels:n0} have no label, {rows.Unreadable}.");
        }
    }

    /// <inheritdoc/>
    public IImageExamples Where(BitArray chosen)
    {
        // Bits of this set's examples become bits of the data's rows.
        var mask = new BitArray(members.Count);
        var position = 0;
        for (var row = 0; row < mask.Count; row++)
            mask[row] = members[row] && chosen[position++];
        return new StreamedImages(data, order, mask, poolSize, channel, crop);
    }

    private sealed record ShufflePlan(int[] Draws, int[] Leftover, BitArray Skipped);
}

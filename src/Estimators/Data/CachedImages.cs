using System.Collections;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>Examples that lie decoded in memory.</summary>
internal sealed class CachedImages : IImageExamples
{
    private readonly ImageCache cache;
    private readonly int[] indices;

    public CachedImages(ImageCache cache) : this(cache, [.. Enumerable.Range(0, cache.Count)])
    {
    }

    private CachedImages(ImageCache cache, int[] indices)
    {
        this.cache = cache;
        this.indices = indices;
    }

    /// <inheritdoc/>
    public int Count => indices.Length;

    /// <inheritdoc/>
    public IEnumerable<ImageExample> InOrder(CancellationToken cancellationToken) => Read(indices, cancellationToken);

    /// <inheritdoc/>
    public IEnumerable<ImageExample> Shuffled(Random random, int skip, int[]? times, CancellationToken cancellationToken)
    {
        int[] order = times is null ? [.. indices] : [.. indices.SelectMany((index, i) => Enumerable.Repeat(index, times[i]))];
        random.Shuffle(order);
        return Read(order[Math.Min(skip, order.Length)..], cancellationToken);
    }

    /// <inheritdoc/>
    public IImageExamples Where(BitArray members) => new CachedImages(cache, [.. indices.Where((_, i) => members[i])]);

    private IEnumerable<ImageExample> Read(int[] order, CancellationToken cancellationToken)
    {
        foreach (var index in order)
        {
            cancellationToken.ThrowIfCancellationRequested();
            yield return cache[index];
        }
    }
}

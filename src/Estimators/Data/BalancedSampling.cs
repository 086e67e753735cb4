using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Estimators;

/// <summary>
/// How often each example comes in an epoch so that every class comes equally often: an epoch is as long as without, examples of rare
/// classes come several times and only some of frequent ones, drawn anew each epoch.
/// </summary>
internal sealed class BalancedSampling
{
    private const int Stream = -4;   // no epoch's, nor one that the trainer takes

    private readonly int[][] classes;   // the examples of each class that has any
    private readonly int count;
    private readonly long seed;

    /// <summary>Makes a sampling.</summary>
    /// <param name="labels">The classes of the examples, in their own order.</param>
    /// <param name="seed">Decides what is drawn.</param>
    public BalancedSampling(IReadOnlyList<int> labels, long seed)
    {
        count = labels.Count;
        classes = [.. Enumerable.Range(0, count).GroupBy(i => labels[i]).OrderBy(group => group.Key).Select(group => group.ToArray())];
        this.seed = SeededRandom.Create(seed, Stream).NextInt64();
    }

    /// <summary>How often each example comes in an epoch, in their own order: as many in all as there are examples.</summary>
    public int[] Times(int epoch)
    {
        var random = SeededRandom.Create(seed, epoch);
        var times = new int[count];
        var shares = Shares(count, classes.Length, random);
        foreach (var (members, share) in classes.Zip(shares))
        {
            foreach (var (member, each) in members.Zip(Shares(share, members.Length, random)))
                times[member] = each;
        }
        return times;
    }

    // A number in equal parts; who gets one more is drawn.
    private static int[] Shares(int total, int parts, Random random)
    {
        int[] shares = [.. Enumerable.Range(0, parts).Select(part => (total / parts) + (part < total % parts ? 1 : 0))];
        random.Shuffle(shares);
        return shares;
    }
}

using Microsoft.ML.MoE.Runtime;
using TorchSharp;

namespace Microsoft.ML.MoE.Routing;

/// <summary>How evenly a routed layer used its experts, counted over one or many forward passes.</summary>
/// <param name="Counts">How often each expert was chosen, by expert.</param>
/// <param name="Dropped">(Token, choice) pairs that found no place.</param>
public sealed record ExpertLoad(IReadOnlyList<long> Counts, long Dropped)
{
    /// <summary>All (token, choice) pairs.</summary>
    public long Total => Counts.Sum();

    /// <summary>Share of the pairs that each expert was chosen for; sums to 1 (all 0 when nothing was routed).</summary>
    public IReadOnlyList<double> Fractions => Counts.Select(count => Total == 0 ? 0 : (double)count / Total).ToArray();

    /// <summary>Share of the pairs that found no place, 0 to 1.</summary>
    public double DroppedFraction => Total == 0 ? 0 : (double)Dropped / Total;

    /// <summary>
    /// Squared coefficient of variation of the counts, (std/mean)² with the population standard deviation: 0 when even, E − 1 when one
    /// expert takes all.
    /// </summary>
    public double SquaredVariation
    {
        get
        {
            if (Total == 0)
                return 0;
            var mean = (double)Total / Counts.Count;
            return Counts.Average(count => (count - mean) * (count - mean)) / (mean * mean);
        }
    }

    /// <summary>Entropy of the load in nats: log E when even, 0 when one expert takes all.</summary>
    public double Entropy => -Fractions.Where(fraction => fraction > 0).Sum(fraction => fraction * Math.Log(fraction));

    /// <summary>Reads the load out of a layer's record. Copies from the device.</summary>
    /// <param name="record">The record of a forward pass.</param>
    public static ExpertLoad From(RoutingRecord record)
    {
        using var scope = torch.NewDisposeScope();
        return new(record.ExpertCounts_E.cpu().data<long>().ToArray(), record.DroppedCount.ReadInt64());
    }

    /// <summary>The load of this and another set of forward passes of the same layer together.</summary>
    /// <param name="other">A load over the same number of experts.</param>
    /// <exception cref="ArgumentException">The numbers of experts differ.</exception>
    public ExpertLoad Add(ExpertLoad other)
    {
        if (other.Counts.Count != Counts.Count)
            throw new ArgumentException($"The other load has {other.Counts.Count} experts; this one has {Counts.Count}.", nameof(other));
        return new(Counts.Zip(other.Counts, (mine, theirs) => mine + theirs).ToArray(), Dropped + other.Dropped);
    }
}

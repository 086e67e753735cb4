// How many of a layer's experts are used, and how evenly. PEER, arXiv 2407.04153, section 3.3; Lample et al., arXiv 1907.05242, section
// 4.5.
//
//   z'_i = Σ gates of expert i over all tokens and heads        z = z' / ‖z'‖₁
//   usage = #{i : z_i ≠ 0} / N        unevenness = log N + Σ z_i log z_i = KL(z ‖ uniform)

using Microsoft.ML.MoE.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Routing;

/// <summary>Adds up which experts the tokens of many batches used. Two numbers an expert; not for several threads at once.</summary>
/// <param name="experts">Number of experts N, at least 1.</param>
public sealed class ExpertUsage(long experts)
{
    private readonly double[] gates = new double[
        experts >= 1 ? experts : throw new ArgumentException($"The number of experts is {experts}; it must be at least 1.", nameof(experts))
    ];
    private readonly long[] counts = new long[experts];

    /// <summary>Number of experts N.</summary>
    public long Experts => counts.LongLength;

    /// <summary>(Token, expert) pairs so far.</summary>
    public long Pairs { get; private set; }

    /// <summary>z', the sum of the gates of each expert.</summary>
    public IReadOnlyList<double> Gates => gates;

    /// <summary>How often each expert was used.</summary>
    public IReadOnlyList<long> Counts => counts;

    /// <summary>The share of the experts whose gates add up to more than 0, 0 to 1.</summary>
    public double Usage => (double)gates.LongCount(gate => gate > 0) / Experts;

    /// <summary>
    /// log N + Σ zᵢ log zᵢ in nats, weighted by the gates: 0 when even, log N when one expert has all; 0 before anything was added.
    /// </summary>
    public double Unevenness => Divergence(gates.Sum(), expert => gates[expert]);

    /// <summary>The share of the experts that were chosen at all, 0 to 1.</summary>
    public double UnweightedUsage => (double)counts.LongCount(count => count > 0) / Experts;

    /// <summary>As <see cref="Unevenness"/>, with every choice counted as 1.</summary>
    public double UnweightedUnevenness => Divergence(Pairs, expert => counts[expert]);

    /// <summary>Adds a forward pass. Copies from the device.</summary>
    /// <param name="selection">What a layer of as many experts has returned.</param>
    /// <exception cref="ArgumentException">The number of experts is another, an expert does not exist, or a gate is negative or not finite;
    /// nothing was added.</exception>
    public unsafe void Add(ExpertSelection selection)
    {
        ArgumentNullException.ThrowIfNull(selection);
        if (selection.Experts != Experts)
            throw new ArgumentException($"The selection is among {selection.Experts} experts; this adds up {Experts}.", nameof(selection));
        using var scope = NewDisposeScope();
        var ids_P = selection.ExpertIds.detach().cpu().contiguous();
        var gates_P = selection.Gates.detach().cpu().to_type(float32).contiguous();
        var pairs = ids_P.numel();
        if (gates_P.numel() != pairs)
            throw new ArgumentException($"The selection has {pairs} experts and {gates_P.numel()} gates.", nameof(selection));
        var ids = Memory.Longs(ids_P);
        var weights = Memory.Floats(gates_P);
        for (var pair = 0L; pair < pairs; pair++)
        {
            if ((ulong)ids[pair] >= (ulong)Experts)
                throw new ArgumentException($"Pair {pair} is of expert {ids[pair]}; there are {Experts}.", nameof(selection));
            if (!(weights[pair] >= 0) || float.IsInfinity(weights[pair]))
                throw new ArgumentException(
                    $"The gate of pair {pair} is {weights[pair]}; a finite number of at least 0 is wanted.", nameof(selection));
        }

        for (var pair = 0L; pair < pairs; pair++)
        {
            gates[ids[pair]] += weights[pair];
            counts[ids[pair]]++;
        }

        Pairs += pairs;
        GC.KeepAlive(ids_P);
        GC.KeepAlive(gates_P);
    }

    private double Divergence(double sum, Func<long, double> value)
    {
        if (sum == 0)
            return 0;
        var negativeEntropy = 0.0;
        for (var expert = 0L; expert < Experts; expert++)
        {
            var z = value(expert) / sum;
            if (z > 0)
                negativeEntropy += z * Math.Log(z);
        }

        return Math.Max(0, Math.Log(Experts) + negativeEntropy);   // rounding can bring an even one below 0
    }
}

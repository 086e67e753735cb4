using Microsoft.ML.MoE.Runtime;

namespace Microsoft.ML.MoE.Routing;

/// <summary>Options of <see cref="ProductKeys"/>.</summary>
/// <param name="Keys">Keys N, a perfect square: n = √N sub-keys in each half.</param>
/// <param name="Heads">Heads H, at least 1.</param>
/// <param name="KeysPerHead">Keys K that each head retrieves, 1 to n.</param>
/// <param name="QueryWidth">Width d_k of a head's query, even.</param>
/// <param name="Shared">Whether all heads have the same sub-keys.</param>
public sealed record ProductKeyOptions(int Keys, int Heads, int KeysPerHead, int QueryWidth, bool Shared)
{
    /// <summary>What the learning rate of the sub-keys is multiplied by, at least 0. Default 1.</summary>
    public double LearningRateScale { get; init; } = 1;

    /// <summary>Sub-keys n of each half, the root of N.</summary>
    public int SubKeys => (int)Math.Round(Math.Sqrt(Keys));

    /// <summary>Numbers of all sub-keys.</summary>
    internal long Parameters => checked((Shared ? 1L : Heads) * SubKeys * QueryWidth);

    /// <summary>Checks the options.</summary>
    /// <param name="keys">What the caller calls the keys.</param>
    /// <param name="keysPerHead">What the caller calls the keys per head.</param>
    /// <param name="learningRateScale">What the caller calls the scale of the learning rate.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message names it with the value found and the value
    /// wanted.</exception>
    internal void Validate(
        string keys = nameof(Keys), string keysPerHead = nameof(KeysPerHead), string learningRateScale = nameof(LearningRateScale))
    {
        OptionChecks.AtLeast(1, Keys, keys);
        if ((long)SubKeys * SubKeys != Keys)
        {
            var below = (long)Math.Sqrt(Keys);
            throw new ArgumentException(
                $"{keys} is {Keys}; it must be a perfect square, such as {below * below} or {(below + 1) * (below + 1)}.");
        }

        OptionChecks.AtLeast(1, Heads, nameof(Heads));
        if (KeysPerHead < 1 || KeysPerHead > SubKeys)
            throw new ArgumentException($"{keysPerHead} is {KeysPerHead}; it must be between 1 and the root of {keys} ({SubKeys}).");
        if (QueryWidth < 2 || QueryWidth % 2 != 0)
            throw new ArgumentException(
                $"{nameof(QueryWidth)} is {QueryWidth}; it must be even and at least 2: each half of a query asks one set of sub-keys.");
        OptionChecks.AtLeast(0, LearningRateScale, learningRateScale);
    }
}

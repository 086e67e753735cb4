namespace Microsoft.ML.MoE.Runtime;

/// <summary>Independent random sequences out of one seed.</summary>
internal static class SeededRandom
{
    /// <summary>The sequence number <paramref name="stream"/> of a seed.</summary>
    public static Random Create(long seed, int stream)
    {
        // SplitMix64 (Steele, Lea and Flood, 2014): neighbouring seeds and streams give unrelated sequences.
        var z = unchecked((ulong)seed + ((ulong)(uint)stream + 1) * 0x9E3779B97F4A7C15);
        z = unchecked((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9);
        z = unchecked((z ^ (z >> 27)) * 0x94D049BB133111EB);
        return new Random(unchecked((int)(z ^ (z >> 31))));
    }
}

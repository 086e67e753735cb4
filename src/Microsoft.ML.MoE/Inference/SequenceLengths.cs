namespace Microsoft.ML.MoE.Inference;

/// <summary>Tokens of several sequences, one sequence after the other, without padding.</summary>
/// <param name="lengths">Tokens of each, at least one.</param>
internal sealed class SequenceLengths(int[] lengths)
{
    /// <summary>Sequences.</summary>
    public int Count => lengths.Length;

    /// <summary>Tokens of all.</summary>
    public int Tokens { get; } = lengths.Sum();

    /// <summary>Tokens of the longest.</summary>
    public int Longest { get; } = lengths.Max();

    /// <summary>Tokens of a sequence.</summary>
    public int this[int sequence] => lengths[sequence];
}

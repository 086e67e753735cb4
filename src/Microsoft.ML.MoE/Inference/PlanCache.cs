// Axes: L = tokens, D = model width.

namespace Microsoft.ML.MoE.Inference;

/// <summary>
/// The keys and values of the tokens that a sequence has so far, for every block of a plan. For one thread at a time; nothing of it has to
/// be disposed.
/// </summary>
/// <param name="blocks">Blocks of the model.</param>
/// <param name="capacity">Tokens that there is room for.</param>
/// <param name="width">Model width D.</param>
internal sealed unsafe class PlanCache(int blocks, int capacity, int width)
{
    private readonly PinnedFloats[] numbers = [.. Enumerable.Range(0, 2 * blocks).Select(_ => new PinnedFloats((long)capacity * width))];

    /// <summary>Tokens that there is room for.</summary>
    public int Capacity => capacity;

    /// <summary>Tokens that have been read.</summary>
    public int Length { get; private set; }

    /// <summary>Forgets all tokens.</summary>
    public void Reset() => Length = 0;

    /// <summary>The new tokens have been through all blocks.</summary>
    public void Advance(int tokens) => Length += tokens;

    /// <summary>Keys of a block (L, D), those of the heads side by side.</summary>
    public float* Keys(int block) => numbers[2 * block].Address;

    /// <summary>Values of a block (L, D).</summary>
    public float* Values(int block) => numbers[(2 * block) + 1].Address;
}

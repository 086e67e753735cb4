// The memory of one pass through a plan. It is taken piece by piece and given back all at once, and from the second pass of a shape on
// nothing is asked of the system any more.

using Microsoft.ML.MoE.Kernels;

namespace Microsoft.ML.MoE.Inference;

/// <summary>Memory for the intermediate results of one pass, and who works on it. For one thread at a time.</summary>
internal sealed unsafe class Workspace
{
    private const int FirstFloats = 1 << 14;
    private const int Spare = 16;   // after each piece: vectors may be written to the end of their last one

    private readonly List<PinnedFloats> blocks = [new(FirstFloats)];
    private int block;
    private long used;

    /// <summary>Who works on large steps together; null where this pass has one thread.</summary>
    public WorkTeam? Team { get; set; }

    /// <summary>Numbers that are kept for the next pass.</summary>
    public long Capacity => blocks.Sum(one => one.Count);

    /// <summary>Memory for numbers, which hold anything at first, until what has been taken since an earlier mark is given back.</summary>
    /// <param name="count">How many.</param>
    /// <returns>An address that is a multiple of 64.</returns>
    public float* Floats(long count)
    {
        var size = (count + Spare + Spare - 1) / Spare * Spare;
        while (used + size > blocks[block].Count)
        {
            if (++block == blocks.Count)
                blocks.Add(new(Math.Max(size, 2 * blocks[^1].Count)));
            used = 0;
        }
        var address = blocks[block].Address + used;
        used += size;
        return address;
    }

    /// <summary>Memory for integers.</summary>
    /// <inheritdoc cref="Floats"/>
    public int* Integers(long count) => (int*)Floats(count);

    /// <summary>Memory for integers of 64 bits.</summary>
    /// <inheritdoc cref="Floats"/>
    public long* Longs(long count) => (long*)Floats(2 * count);

    /// <summary>Where the memory that has been taken ends.</summary>
    public WorkspaceMark Mark() => new(block, used);

    /// <summary>Gives back what has been taken since a mark.</summary>
    public void Release(WorkspaceMark mark) => (block, used) = (mark.Block, mark.Used);

    /// <summary>Gives everything back, and makes one block of several.</summary>
    public void Reset()
    {
        (block, used, Team) = (0, 0, null);
        if (blocks.Count == 1)
            return;
        var all = Capacity;
        blocks.Clear();
        blocks.Add(new(all));
    }
}

// (Token, expert) pairs in the order of the experts' rows: a radix sort of the row numbers, which takes the pairs two or three times however large the table is.
//
// Axes: P = pairs, R = distinct rows.

using System.Numerics;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>The distinct rows of some pairs, ascending, and the pairs of each, in the order in which they came: the same whatever the number of threads. Owns its memory.</summary>
internal sealed unsafe class RowOrder : IDisposable
{
    private const int MostDigitBits = 11;   // 2048 counters stay in the L1 cache
    private const int BlocksPerThread = 2;

    private readonly ulong* memory;

    /// <summary>Sorts pairs by row.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="rowOfPair">For every pair its row (P), each from 0 to below <paramref name="rows"/>.</param>
    /// <param name="pairs">P.</param>
    /// <param name="rows">Rows of the table.</param>
    public RowOrder(WorkTeam team, long* rowOfPair, int pairs, int rows)
    {
        // Two lists to sort between, then pairs, rows and ends.
        memory = (ulong*)NativeMemory.Alloc((nuint)Math.Max(pairs, 1), (2 * sizeof(ulong)) + (3 * sizeof(int)));
        var sorted = Sort(team, rowOfPair, pairs, rows, memory, memory + pairs);
        Pairs = (int*)(memory + (2 * (nint)pairs));
        Rows = Pairs + pairs;
        Ends = Rows + pairs;
        var last = -1;
        for (var i = 0; i < pairs; i++)
        {
            var row = (int)(sorted[i] >> 32);
            if (row != last)
            {
                Rows[Count++] = row;
                last = row;
            }

            Ends[Count - 1] = i + 1;
            Pairs[i] = (int)(uint)sorted[i];
        }
    }

    /// <summary>Distinct rows R.</summary>
    public int Count { get; }

    /// <summary>The rows (R).</summary>
    public int* Rows { get; }

    /// <summary>One past the last pair of each row, in <see cref="Pairs"/> (R).</summary>
    public int* Ends { get; }

    /// <summary>The pairs by row (P).</summary>
    public int* Pairs { get; }

    /// <summary>The first pair of a row, in <see cref="Pairs"/>.</summary>
    public int Start(int row) => row == 0 ? 0 : Ends[row - 1];

    public void Dispose() => NativeMemory.Free(memory);

    // The row in the upper half of each number, the pair in the lower; from the lowest digit of the row to the highest, each pass keeping the order of the one before.
    private static ulong* Sort(WorkTeam team, long* rowOfPair, int pairs, int rows, ulong* source, ulong* target)
    {
        var bits = Math.Max(1, 32 - BitOperations.LeadingZeroCount((uint)(rows - 1)));
        var passes = (bits + MostDigitBits - 1) / MostDigitBits;
        var digitBits = (bits + passes - 1) / passes;
        var (digits, blocks) = (1 << digitBits, team.Threads == 1 ? 1 : BlocksPerThread * team.Threads);
        var counts = new int[blocks * digits];
        for (var pass = 0; pass < passes; pass++)
        {
            var (from, to, shift, first) = ((nint)source, (nint)target, 32 + (pass * digitBits), pass == 0);
            Array.Clear(counts);
            team.ForEach(blocks, (block, _) =>
            {
                var own = counts.AsSpan(block * digits, digits);
                var list = (ulong*)from;
                for (var i = Boundary(pairs, block, blocks); i < Boundary(pairs, block + 1, blocks); i++)
                {
                    if (first)
                        list[i] = ((ulong)rowOfPair[i] << 32) | (uint)i;
                    own[(int)(list[i] >> shift) & (digits - 1)]++;
                }
            });
            var place = 0;
            for (var digit = 0; digit < digits; digit++)
            {
                for (var block = 0; block < blocks; block++)
                    (counts[(block * digits) + digit], place) = (place, place + counts[(block * digits) + digit]);
            }

            team.ForEach(blocks, (block, _) =>
            {
                var own = counts.AsSpan(block * digits, digits);
                for (var i = Boundary(pairs, block, blocks); i < Boundary(pairs, block + 1, blocks); i++)
                    ((ulong*)to)[own[(int)(((ulong*)from)[i] >> shift) & (digits - 1)]++] = ((ulong*)from)[i];
            });
            var swap = source;
            source = target;
            target = swap;
        }

        return source;
    }

    private static int Boundary(int pairs, int block, int blocks) => (int)((long)pairs * block / blocks);
}

// (Token, expert) pairs in the order of the experts' rows. Of a large table by a radix sort of the row numbers, which takes the pairs two
// or three times however large the table is; of a small one by counting the pairs of each row.
//
// Axes: P = pairs, R = distinct rows.

using System.Numerics;
using System.Runtime.InteropServices;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>
/// The distinct rows of some pairs, ascending, and the pairs of each, in the order in which they came: the same whatever the number of
/// threads. Owns its memory.
/// </summary>
internal sealed unsafe class RowOrder : IDisposable
{
    private const int MostDigitBits = 11;   // 2048 counters stay in the L1 cache
    private const int BlocksPerThread = 2;
    private const int MostCountedRows = 1 << 16;   // as many counters stay in the L2 cache

    private readonly int* memory;

    /// <summary>Sorts pairs by row.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="rowOfPair">For every pair its row (P), each from 0 to below <paramref name="rows"/>.</param>
    /// <param name="pairs">P.</param>
    /// <param name="rows">Rows of the table.</param>
    public RowOrder(WorkTeam team, long* rowOfPair, int pairs, int rows)
    {
        // Pairs, rows and ends; before them the counters, or two lists to sort between.
        var blocks = team.Threads == 1 ? 1 : BlocksPerThread * team.Threads;
        var counts = rows <= MostCountedRows && (long)blocks * rows <= 2L * pairs;
        var before = counts ? (nint)blocks * rows : 4 * (nint)pairs;
        memory = (int*)NativeMemory.Alloc((nuint)(before + (3 * (nint)Math.Max(pairs, 1))), sizeof(int));
        Pairs = memory + before;
        Rows = Pairs + pairs;
        Ends = Rows + pairs;
        Count = counts
            ? CountRows(team, rowOfPair, pairs, rows, blocks, memory)
            : Unpack(Sort(team, rowOfPair, pairs, rows, blocks, (ulong*)memory, (ulong*)memory + pairs), pairs);
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

    // Fills the lists from numbers that have the row in the upper half and the pair in the lower.
    private int Unpack(ulong* sorted, int pairs)
    {
        var (count, last) = (0, -1);
        for (var i = 0; i < pairs; i++)
        {
            var row = (int)(sorted[i] >> 32);
            if (row != last)
            {
                Rows[count++] = row;
                last = row;
            }

            Ends[count - 1] = i + 1;
            Pairs[i] = (int)(uint)sorted[i];
        }

        return count;
    }

    // Fills the lists: every block of pairs counts its own by row, which tells where each of them goes.
    private int CountRows(WorkTeam team, long* rowOfPair, int pairs, int rows, int blocks, int* counts)
    {
        NativeMemory.Clear(counts, (nuint)blocks * (nuint)rows * sizeof(int));
        team.ForEach(blocks, (block, _) =>
        {
            var own = counts + ((nint)block * rows);
            for (var i = Boundary(pairs, block, blocks); i < Boundary(pairs, block + 1, blocks); i++)
                own[rowOfPair[i]]++;
        });
        var (count, place) = (0, 0);
        for (var row = 0; place < pairs; row++)
        {
            Rows[count] = row;
            var start = place;
            for (var block = (nint)row; block < (nint)blocks * rows; block += rows)
                (counts[block], place) = (place, place + counts[block]);
            Ends[count] = place;
            count += place > start ? 1 : 0;
        }

        team.ForEach(blocks, (block, _) =>
        {
            var own = counts + ((nint)block * rows);
            for (var i = Boundary(pairs, block, blocks); i < Boundary(pairs, block + 1, blocks); i++)
                Pairs[own[rowOfPair[i]]++] = i;
        });
        return count;
    }

    // The row in the upper half of each number, the pair in the lower; from the lowest digit of the row to the highest, each pass keeping
    // the order of the one before.
    private static ulong* Sort(WorkTeam team, long* rowOfPair, int pairs, int rows, int blocks, ulong* source, ulong* target)
    {
        var bits = Math.Max(1, 32 - BitOperations.LeadingZeroCount((uint)(rows - 1)));
        var passes = (bits + MostDigitBits - 1) / MostDigitBits;
        var digitBits = (bits + passes - 1) / passes;
        var digits = 1 << digitBits;
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

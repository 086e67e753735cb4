// The search among product keys in managed code on the CPU: scores of a few queries at a time stay in the cache, where the best are picked,
// and their pairs, before the next queries' scores overwrite them. Nothing of the size queries · sub-keys is ever in memory.
//
// Axes: T = tokens of the whole batch, H = heads, A = d_k/2, half a query, N = sub-keys of a half, K = keys that a head retrieves.

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Microsoft.ML.MoE.Kernels.Gemm;
using TorchSharp;
using static TorchSharp.torch;

namespace Microsoft.ML.MoE.Kernels.ProductKeys;

/// <summary>The search, and the gradients of the scores that it has found.</summary>
/// <param name="subKeys">Sub-keys N of each half.</param>
/// <param name="heads">Heads H.</param>
/// <param name="chosen">Keys K that each head retrieves, 1 to N.</param>
/// <param name="queryWidth">Width d_k of a head's query, even.</param>
/// <param name="shared">Whether all heads have the same sub-keys.</param>
internal sealed unsafe class ManagedProductKeys(int subKeys, int heads, int chosen, int queryWidth, bool shared)
{
    private const int TokensPerTask = 8;
    private const int ColumnBits = 16;   // of a pair's place; the keys are numbered by an int32, so that their sub-keys have fewer

    private readonly int half = queryWidth / 2;
    private readonly int groups = shared ? 1 : heads;   // of heads with the same sub-keys

    // Pairs of the best sub-keys that may be among the best keys: for row i those of the columns before ⌊K / (i + 1)⌋, the last of the
    // first K being in column ⌈K / (i + 1)⌉ - 1.
    private readonly int[] columnEnds = [.. Enumerable.Range(1, chosen).Select(i => chosen / i)];
    private readonly int[] lastColumns = [.. Enumerable.Range(1, chosen).Select(i => ((chosen + i - 1) / i) - 1)];
    private readonly int candidates = Enumerable.Range(1, chosen).Sum(i => chosen / i);

    // Room for one task: packed queries, scores, and two lists for each query besides what selection needs.
    private int ScoreStride => LargestScores.RoundUp(subKeys);

    private int ListRoom => chosen + 1;   // lists are read a vector at a time; after the last of them there is room enough

    /// <summary>Numbers of memory that a search on one thread needs.</summary>
    public long ScratchFloats =>
        ((long)MicroKernel.MaxRows * half)
        + ((long)MicroKernel.MaxRows * ScoreStride)
        + (4L * MicroKernel.MaxRows * ListRoom)
        + Math.Max(LargestScores.ScratchFloats(subKeys), LargestScores.ScratchFloats(candidates))
        + (2L * ListRoom)
        + 16;

    /// <summary>Whether this can be used.</summary>
    /// <param name="tensors">Queries and sub-keys.</param>
    public bool Suits(params ReadOnlySpan<Tensor> tensors)
    {
        foreach (var tensor in tensors)
        {
            if (!Memory.HoldsFloats(tensor))
                return false;
        }

        return MicroKernel.IsSupported && ScratchFloats <= WorkTeam.Scratch.Floats;
    }

    /// <summary>Finds the best keys.</summary>
    /// <param name="query_TQ">Queries, contiguous (T, H·d_k).</param>
    /// <param name="rowKeys">(N, A), or (H, N, A).</param>
    /// <param name="columnKeys">(N, A), or (H, N, A).</param>
    /// <returns>The keys, int64 (T, H, K), best first; their scores, float32 (T, H, K); and the two sub-keys of each, int32 (2, T, H,
    /// K).</returns>
    public (Tensor Ids_THK, Tensor Scores_THK, Tensor SubKeys_2THK) Search(Tensor query_TQ, Tensor rowKeys, Tensor columnKeys)
    {
        using var scope = NewDisposeScope();
        var tokens = checked((int)query_TQ.shape[0]);
        var (ids_THK, scores_THK, subKeys_2THK) = (
            empty([tokens, heads, chosen], int64), empty([tokens, heads, chosen]), empty([2, tokens, heads, chosen], int32));
        var panels = (subKeys + MicroKernel.Columns - 1) / MicroKernel.Columns;
        var packed = empty([2, groups, panels, half, MicroKernel.Columns]);
        var queriesOfGroup = shared ? tokens * heads : tokens;
        var tiles = (queriesOfGroup + MicroKernel.Rows - 1) / MicroKernel.Rows;
        if (tokens > 0)
        {
            WorkTeam.Run(get_num_threads(), team =>
            {
                nint[] keys = [(nint)Memory.Floats(rowKeys), (nint)Memory.Floats(columnKeys)];
                var query = Memory.Floats(query_TQ);
                var right = Memory.Floats(packed);
                var places = (int*)Memory.Address(subKeys_2THK);
                var found = new Found(Memory.Longs(ids_THK), Memory.Floats(scores_THK), places, places + ((nint)tokens * heads * chosen));
                team.ForEach(
                    2 * groups * panels, (task, _) => PackPanel((float*)keys[task / (groups * panels)], right, task));
                team.ForEach(groups * tiles, (task, scratch) =>
                {
                    var first = task % tiles * MicroKernel.Rows;
                    SearchTile(query, right, task / tiles, first, Math.Min(MicroKernel.Rows, queriesOfGroup - first), found, scratch);
                });
            });
        }

        GC.KeepAlive(query_TQ);
        GC.KeepAlive(rowKeys);
        GC.KeepAlive(columnKeys);
        return (ids_THK.MoveToOuterDisposeScope(), scores_THK.MoveToOuterDisposeScope(), subKeys_2THK.MoveToOuterDisposeScope());
    }

    /// <summary>Numbers of packed sub-keys.</summary>
    public long PackedFloats => 2L * groups * ((subKeys + MicroKernel.Columns - 1) / MicroKernel.Columns) * half * MicroKernel.Columns;

    /// <summary>Packs the sub-keys for <see cref="Search(float*, float*, int, long*, float*, int*, float*)"/>.</summary>
    /// <param name="rowKeys">(N, A), or (H, N, A).</param>
    /// <param name="columnKeys">(N, A), or (H, N, A).</param>
    /// <param name="packed">Room for <see cref="PackedFloats"/> numbers.</param>
    public void Pack(float* rowKeys, float* columnKeys, float* packed)
    {
        var panels = (subKeys + MicroKernel.Columns - 1) / MicroKernel.Columns;
        for (var task = 0; task < 2 * groups * panels; task++)
            PackPanel(task < groups * panels ? rowKeys : columnKeys, packed, task);
    }

    /// <summary>Finds the best keys, on this thread.</summary>
    /// <param name="query">Queries (T, H·d_k).</param>
    /// <param name="packed">What <see cref="Pack"/> made.</param>
    /// <param name="tokens">T.</param>
    /// <param name="ids">Receives the keys (T, H, K), best first.</param>
    /// <param name="scores">Receives their scores (T, H, K).</param>
    /// <param name="places">Receives the two sub-keys of each (2, T, H, K).</param>
    /// <param name="scratch">Room for <see cref="ScratchFloats"/> numbers.</param>
    public void Search(float* query, float* packed, int tokens, long* ids, float* scores, int* places, float* scratch)
    {
        var queriesOfGroup = shared ? tokens * heads : tokens;
        var found = new Found(ids, scores, places, places + ((nint)tokens * heads * chosen));
        for (var group = 0; group < groups; group++)
        {
            for (var first = 0; first < queriesOfGroup; first += MicroKernel.Rows)
                SearchTile(query, packed, group, first, Math.Min(MicroKernel.Rows, queriesOfGroup - first), found, scratch);
        }
    }

    /// <summary>The gradients of the scores that a search has found.</summary>
    /// <param name="query_TQ">Queries, contiguous (T, H·d_k).</param>
    /// <param name="rowKeys">(N, A), or (H, N, A).</param>
    /// <param name="columnKeys">(N, A), or (H, N, A).</param>
    /// <param name="subKeys_2THK">The sub-keys of the keys that were found.</param>
    /// <param name="dScores_THK">Gradient of their scores.</param>
    /// <param name="wantsQueries">Whether the queries' gradient is wanted.</param>
    /// <returns>Gradients of the queries, or null, and of the sub-keys.</returns>
    public (Tensor? DQuery_TQ, Tensor DRowKeys, Tensor DColumnKeys) Backward(
        Tensor query_TQ, Tensor rowKeys, Tensor columnKeys, Tensor subKeys_2THK, Tensor dScores_THK, bool wantsQueries)
    {
        using var scope = NewDisposeScope();
        var tokens = checked((int)query_TQ.shape[0]);
        var dQuery_TQ = wantsQueries ? zeros_like(query_TQ) : null;
        var (dRowKeys, dColumnKeys) = (zeros_like(rowKeys), zeros_like(columnKeys));
        if (tokens > 0)
        {
            var pairs = checked(tokens * heads * chosen);
            WorkTeam.Run(get_num_threads(), team =>
            {
                nint[] dKeys = [(nint)Memory.Floats(dRowKeys), (nint)Memory.Floats(dColumnKeys)];
                var row = Memory.Floats(rowKeys);
                var column = Memory.Floats(columnKeys);
                var query = Memory.Floats(query_TQ);
                var dQuery = dQuery_TQ is null ? null : Memory.Floats(dQuery_TQ);
                var dScores = Memory.Floats(dScores_THK);
                var places = (int*)Memory.Address(subKeys_2THK);

                // Every sub-key is worked on by one thread, which adds up its pairs in their order: the sums do not depend on the number of
                // threads.
                var ranges = (team.Threads + 1) / 2;
                team.ForEach(2 * ranges, (task, scratch) =>
                {
                    var (part, range) = (task / ranges, task % ranges);
                    var keys = ((int)((long)subKeys * range / ranges), (int)((long)subKeys * (range + 1) / ranges));
                    SumKeys(
                        query + ((nint)part * half), places + ((nint)part * pairs), dScores, tokens, (float*)dKeys[part], keys, scratch);
                });
                if (dQuery == null)
                    return;
                team.ForEach((tokens + TokensPerTask - 1) / TokensPerTask, (task, _) =>
                {
                    for (var i = task * TokensPerTask * heads; i < Math.Min((task + 1) * TokensPerTask, tokens) * heads; i++)
                    {
                        var (firstKey, pair) = ((nint)FirstKey(i) * half, (nint)i * chosen);
                        var sum = dQuery + ((nint)i * queryWidth);
                        RowSums.AddMultiples(row + firstKey, half, half, places + pair, dScores + pair, chosen, sum);
                        RowSums.AddMultiples(column + firstKey, half, half, places + pairs + pair, dScores + pair, chosen, sum + half);
                    }
                });
            });
        }

        GC.KeepAlive(query_TQ);
        GC.KeepAlive(rowKeys);
        GC.KeepAlive(columnKeys);
        GC.KeepAlive(subKeys_2THK);
        GC.KeepAlive(dScores_THK);
        return (dQuery_TQ?.MoveToOuterDisposeScope(), dRowKeys.MoveToOuterDisposeScope(), dColumnKeys.MoveToOuterDisposeScope());
    }

    // One panel of the sub-keys of one group.
    private void PackPanel(float* keys, float* packed, int task)
    {
        var panels = (subKeys + MicroKernel.Columns - 1) / MicroKernel.Columns;
        var source = new Operand(keys + ((nint)(task / panels % groups) * subKeys * half), half, termsAlongRow: true);
        var column = task % panels * MicroKernel.Columns;
        source.Pack(
            MicroKernel.Columns,
            column,
            Math.Min(MicroKernel.Columns, subKeys - column),
            0,
            half,
            packed + ((nint)task * half * MicroKernel.Columns));
    }

    // A few queries: the best sub-keys of each half, then the best pairs.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void SearchTile(float* query, float* right, int group, int first, int count, Found found, float* scratch)
    {
        var left = scratch;
        var tile = left + ((nint)MicroKernel.MaxRows * half);
        var lists = tile + ((nint)MicroKernel.MaxRows * ScoreStride);
        var listFloats = (nint)MicroKernel.MaxRows * ListRoom;
        var best = lists + (4 * listFloats);
        var rest = best + (2 * ListRoom);
        var panels = (subKeys + MicroKernel.Columns - 1) / MicroKernel.Columns;
        var stride = shared ? queryWidth : heads * queryWidth;
        var start = query + (shared ? 0 : (nint)group * queryWidth);
        for (var part = 0; part < 2; part++)
        {
            new Operand(start + ((nint)part * half), stride, termsAlongRow: true).Pack(MicroKernel.Rows, first, count, 0, half, left);
            var panel = right + ((((nint)part * groups) + group) * panels * half * MicroKernel.Columns);
            for (var column = 0; column < panels * MicroKernel.Columns; column += MicroKernel.Columns, panel += half * MicroKernel.Columns)
            {
                MicroKernel.Multiply(
                    count,
                    half: false,
                    half,
                    new Lines(left, line: 1, term: MicroKernel.Rows),
                    panel,
                    MicroKernel.Columns,
                    new Tile(tile + column, ScoreStride, add: false, bias: null));
            }

            for (var i = 0; i < count; i++)
            {
                var list = lists + (2 * part * listFloats) + ((nint)i * ListRoom);
                LargestScores.Select(tile + ((nint)i * ScoreStride), subKeys, chosen, list, (int*)(list + listFloats), rest);
            }
        }

        for (var i = 0; i < count; i++)
        {
            var rows = lists + ((nint)i * ListRoom);
            var columns = rows + (2 * listFloats);
            var rowPlaces = (int*)(rows + listFloats);
            var columnPlaces = (int*)(columns + listFloats);
            var bestPlaces = (int*)(best + ListRoom);
            Combine(rows, columns, best, bestPlaces, rest);
            var place = (shared ? (nint)first + i : (((nint)first + i) * heads) + group) * chosen;
            for (var k = 0; k < chosen; k++)
            {
                var (row, column) = (bestPlaces[k] >> ColumnBits, bestPlaces[k] & ((1 << ColumnBits) - 1));
                found.Scores[place + k] = best[k];
                found.Rows[place + k] = rowPlaces[row];
                found.Columns[place + k] = columnPlaces[column];
                found.Ids[place + k] = ((long)rowPlaces[row] * subKeys) + columnPlaces[column];
            }
        }
    }

    // The K best of the pairs of two descending lists; a pair's place has its row in the upper bits. Of pairs (i, j) with (i + 1)·(j + 1) >
    // K, K others are at least as good.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Combine(float* rows, float* columns, float* best, int* bestPlaces, float* scratch)
    {
        if (
            !float.IsFinite(rows[0])
            || !float.IsFinite(columns[0])
            || !float.IsFinite(rows[chosen - 1])
            || !float.IsFinite(columns[chosen - 1]))
        {
            // NaN and infinities break the order that leaves out most pairs.
            var length = 0;
            for (var i = 0; i < chosen; i++)
            {
                for (var j = 0; j < chosen; j++)
                    length = LargestScores.Add(rows[i] + columns[j], (i << ColumnBits) + j, chosen, best, bestPlaces, length);
            }

            return;
        }

        // The first i rows with the first ⌈K / i⌉ columns are K pairs, of which the last is the worst: its score is one that K pairs reach.
        var bound = float.NegativeInfinity;
        for (var i = 0; i < chosen; i++)
            bound = MathF.Max(bound, rows[i] + columns[lastColumns[i]]);

        var places = (int*)(scratch + LargestScores.RoundUp(candidates) + Vector512<float>.Count);
        LargestScores.SelectAmongFew(scratch, places, CollectPairs(rows, columns, bound, scratch, places), chosen, best, bestPlaces);
    }

    // The pairs whose scores reach a bound, of those that can be among the best; both lists descend.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private int CollectPairs(float* rows, float* columns, float bound, float* scores, int* places)
    {
        var count = 0;
        for (var i = 0; i < chosen && rows[i] + columns[0] >= bound; i++)
        {
            var end = columnEnds[i];
            if (!Avx512F.IsSupported)
            {
                for (var j = 0; j < end && rows[i] + columns[j] >= bound; j++)
                {
                    scores[count] = rows[i] + columns[j];
                    places[count++] = (i << ColumnBits) + j;
                }

                continue;
            }

            for (var j = 0; j < end; j += Vector512<float>.Count)
            {
                var sums = Vector512.Create(rows[i]) + Vector512.Load(columns + j);
                var column = Vector512.Create(j) + Vector512<int>.Indices;
                var mask =
                    Vector512.GreaterThanOrEqual(sums, Vector512.Create(bound))
                    & Vector512.LessThan(column, Vector512.Create(end)).AsSingle();
                // The rest of the vector is overwritten by the next.
                Avx512F.Compress(Vector512<float>.Zero, mask, sums).Store(scores + count);
                Avx512F.Compress(Vector512<int>.Zero, mask.AsInt32(), column + Vector512.Create(i << ColumnBits)).Store(places + count);
                count += BitOperations.PopCount(mask.ExtractMostSignificantBits());
            }
        }

        return count;
    }

    // The gradients of a range of sub-keys of one half. The other sub-keys' pairs are read and passed over.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void SumKeys(float* query, int* keyOfPair, float* dScores, int tokens, float* dKeys, (int First, int End) range, float* scratch)
    {
        var (first, end) = range;
        var ownFactors = scratch;
        var ownKeys = (int*)(scratch + chosen);
        for (var i = 0; i < tokens * heads; i++)
        {
            var keys = keyOfPair + ((nint)i * chosen);
            var factors = dScores + ((nint)i * chosen);
            var count = chosen;
            if (end - first < subKeys)
            {
                count = 0;
                for (var k = 0; k < chosen; k++)
                {
                    (ownKeys[count], ownFactors[count]) = (keys[k], factors[k]);
                    count += keys[k] >= first && keys[k] < end ? 1 : 0;
                }

                keys = ownKeys;
                factors = ownFactors;
            }

            RowSums.AddToRows(dKeys + ((nint)FirstKey(i) * half), half, keys, factors, count, query + ((nint)i * queryWidth));
        }
    }

    // Where the sub-keys of a query's head begin.
    private int FirstKey(int query) => shared ? 0 : query % heads * subKeys;

    /// <summary>Where a search puts what it finds, each (T, H, K).</summary>
    private readonly struct Found(long* ids, float* scores, int* rows, int* columns)
    {
        public readonly long* Ids = ids;
        public readonly float* Scores = scores;
        public readonly int* Rows = rows;
        public readonly int* Columns = columns;
    }
}

// The k largest of some numbers, without sorting them.
//
// The maxima of g ≥ k groups bound the k-th largest number from below: k groups have a number at least as large as the smallest of their
// maxima. With a group for each lane of a vector that bound costs one maximum a number; it leaves some forty of 1024 random numbers for k =
// 16, and with twice as many groups as k some forty of 128 for k = 32. Their places are found by counting how many are larger, for two
// vectors of them at once.

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.ProductKeys;

/// <summary>Finds the largest scores. Of equal ones, the first. A NaN counts as larger than every number, so that it is not lost.</summary>
internal static unsafe class LargestScores
{
    /// <summary>Rows of scores are as long as a multiple of this.</summary>
    public const int Alignment = 2 * Lanes;

    private const int Lanes = 16;
    private const int MostRanked = 128;   // candidates; ranking them takes time with their square
    private const int MostBounded = 2 * Lanes;
    private const int MostRankedAtOnce = 63;   // of the wanted scores; one bit each

    private static Vector512<int> By1 => Vector512.Create(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);

    private static Vector512<int> By2 => Vector512.Create(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);

    private static Vector512<int> By4 => Vector512.Create(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);

    private static Vector512<int> By8 => Vector512.Create(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);

    /// <summary>The room that <see cref="Select"/> needs for a number of scores, in float32 numbers.</summary>
    public static int ScratchFloats(int count) => 2 * (RoundUp(count) + Lanes);

    /// <summary>The room of a row of scores.</summary>
    public static int RoundUp(int count) => (count + Alignment - 1) / Alignment * Alignment;

    /// <summary>Finds the <paramref name="k"/> largest of <paramref name="count"/> scores, largest first.</summary>
    /// <param name="scores">The scores, in room for <see cref="RoundUp"/> of them; what follows them is overwritten.</param>
    /// <param name="count">How many there are, at least k.</param>
    /// <param name="k">How many are wanted, at least 1.</param>
    /// <param name="values">Receives the scores; room for k + 1.</param>
    /// <param name="places">Receives where they were; room for k + 1.</param>
    /// <param name="scratch">Room for <see cref="ScratchFloats"/> numbers.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Select(float* scores, int count, int k, float* values, int* places, float* scratch)
    {
        var padded = RoundUp(count);
        for (var i = count; i < padded; i++)
            scores[i] = float.NegativeInfinity;
        var bound = k <= MostBounded ? Bound(scores, padded, k) : float.NaN;
        if (float.IsNaN(bound))
        {
            Insert(scores, null, count, k, values, places);
            return;
        }

        var candidates = scratch;
        var candidatePlaces = (int*)(scratch + padded + Lanes);
        var found = Filter(scores, padded, bound, candidates, candidatePlaces);
        found = DropPadding(candidatePlaces, found, count);
        if (found <= MostRanked)
            Rank(candidates, candidatePlaces, found, k, values, places);
        else
            Insert(candidates, candidatePlaces, found, k, values, places);
    }

    /// <summary>The same for a few scores that come with their places.</summary>
    /// <param name="scores">Scores without NaN, in room for <see cref="RoundUp"/> of them; what follows them is overwritten.</param>
    /// <param name="scorePlaces">Their places.</param>
    /// <param name="count">How many there are, at least k.</param>
    /// <param name="k">How many are wanted, at least 1.</param>
    /// <param name="values">Receives the scores; room for k + 1.</param>
    /// <param name="places">Receives their places; room for k + 1.</param>
    public static void SelectAmongFew(float* scores, int* scorePlaces, int count, int k, float* values, int* places)
    {
        if (count <= MostRanked)
            Rank(scores, scorePlaces, count, k, values, places);
        else
            Insert(scores, scorePlaces, count, k, values, places);
    }

    /// <summary>Adds a score to a list of the k largest so far.</summary>
    /// <returns>The list's new length.</returns>
    public static int Add(float score, int place, int k, float* values, int* places, int length)
    {
        if (length == k && !IsLarger(score, values[k - 1]))
            return length;
        var i = length < k ? length : k - 1;
        for (; i > 0 && IsLarger(score, values[i - 1]); i--)
            (values[i], places[i]) = (values[i - 1], places[i - 1]);
        (values[i], places[i]) = (score, place);
        return Math.Min(length + 1, k);
    }

    // A number that at least k scores reach; NaN if there is a NaN.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static float Bound(float* scores, int padded, int k)
    {
        var (first, second) = (Vector512.Create(float.NegativeInfinity), Vector512.Create(float.NegativeInfinity));
        var (third, fourth) = (first, second);
        var nan = Vector512<float>.Zero;
        var inFours = Avx512F.IsSupported && k > Lanes;
        for (var i = 0; i < padded; i += Alignment)
        {
            var (a, b) = (Vector512.Load(scores + i), Vector512.Load(scores + i + Lanes));
            if (inFours)
                (first, second, third, fourth) = (third, fourth, first, second);   // in turn
            first = Vector512.MaxNative(first, a);
            second = Vector512.MaxNative(second, b);
            nan += (a - a) + (b - b);   // 0, or NaN where a number is not finite
        }

        // Padding is not finite either: it is in the last vectors alone, and says nothing.
        if (!Vector512.EqualsAll(nan, nan) && HasNaN(scores, padded))
            return float.NaN;
        if (Avx512F.IsSupported)
            return inFours ? LargestOfFour(first, second, third, fourth, k) : LargestOfTwo(first, second, k);
        float* maxima = stackalloc float[2 * Lanes];
        var groups = 2 * Lanes;
        if (k <= Lanes)
        {
            first = Vector512.MaxNative(first, second);
            groups = Lanes;
        }

        first.Store(maxima);
        second.Store(maxima + Lanes);
        for (; groups / 2 >= k; groups /= 2)
        {
            for (var i = 0; i < groups / 2; i++)
                maxima[i] = MathF.Max(maxima[i], maxima[i + (groups / 2)]);
        }

        var bound = maxima[0];
        for (var i = 1; i < groups; i++)
            bound = MathF.Min(bound, maxima[i]);
        return bound;
    }

    // The k-th largest of 32 numbers, k up to 16: of one vector in ascending and one in descending order, the larger of each two are the
    // sixteen largest.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float LargestOfTwo(Vector512<float> first, Vector512<float> second, int k)
    {
        var larger = Vector512.MaxNative(SortDescending(first), Reverse(SortDescending(second)));
        return k == Lanes ? Smallest(larger) : Merge(larger)[k - 1];
    }

    // The k-th largest of 64 numbers, k from 17 to 32: the same with pairs of vectors, which have to be in order first.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static float LargestOfFour(
        Vector512<float> first, Vector512<float> second, Vector512<float> third, Vector512<float> fourth, int k)
    {
        var (a, b) = MergePair(SortDescending(first), SortDescending(second));
        var (c, d) = MergePair(SortDescending(third), SortDescending(fourth));
        var (larger, largerToo) = (Vector512.MaxNative(a, Reverse(d)), Vector512.MaxNative(b, Reverse(c)));
        var last = Vector512.MinNative(larger, largerToo);   // the 17th to the 32nd
        return k == 2 * Lanes ? Smallest(last) : Merge(last)[k - Lanes - 1];
    }

    // Two vectors in descending order as one of 32 numbers.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector512<float> First, Vector512<float> Last) MergePair(Vector512<float> one, Vector512<float> other)
    {
        other = Reverse(other);
        return (Merge(Vector512.MaxNative(one, other)), Merge(Vector512.MinNative(one, other)));
    }

    // Batcher's bitonic network: each number is compared with the one whose place differs in one bit.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> SortDescending(Vector512<float> v)
    {
        v = Exchange(v, By1, Vector512.Create(0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0));
        v = Exchange(v, By2, Vector512.Create(0, 0, -1, -1, -1, -1, 0, 0, 0, 0, -1, -1, -1, -1, 0, 0));
        v = Exchange(v, By1, Vector512.Create(0, -1, 0, -1, -1, 0, -1, 0, 0, -1, 0, -1, -1, 0, -1, 0));
        v = Exchange(v, By4, Vector512.Create(0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0));
        v = Exchange(v, By2, Vector512.Create(0, 0, -1, -1, 0, 0, -1, -1, -1, -1, 0, 0, -1, -1, 0, 0));
        v = Exchange(v, By1, Vector512.Create(0, -1, 0, -1, 0, -1, 0, -1, -1, 0, -1, 0, -1, 0, -1, 0));
        return Merge(v);
    }

    // The network's end, which puts a vector in descending order that falls and then rises, or rises and then falls.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Merge(Vector512<float> v)
    {
        v = Exchange(v, By8, Vector512.Create(0, 0, 0, 0, 0, 0, 0, 0, -1, -1, -1, -1, -1, -1, -1, -1));
        v = Exchange(v, By4, Vector512.Create(0, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0, -1, -1, -1, -1));
        v = Exchange(v, By2, Vector512.Create(0, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1, 0, 0, -1, -1));
        return Exchange(v, By1, Vector512.Create(0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1));
    }

    // Where the mask is set, the smaller of a number and its partner; else the larger.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Exchange(Vector512<float> v, Vector512<int> partners, Vector512<int> smaller)
    {
        var partner = Avx512F.PermuteVar16x32(v, partners);
        return Vector512.ConditionalSelect(smaller.AsSingle(), Vector512.MinNative(v, partner), Vector512.MaxNative(v, partner));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Reverse(Vector512<float> v) =>
        Avx512F.PermuteVar16x32(v, Vector512.Create(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Smallest(Vector512<float> v)
    {
        var eight = Vector256.MinNative(v.GetLower(), v.GetUpper());
        var four = Vector128.MinNative(eight.GetLower(), eight.GetUpper());
        return MathF.Min(MathF.Min(four[0], four[1]), MathF.Min(four[2], four[3]));
    }

    private static bool HasNaN(float* scores, int padded)
    {
        for (var i = 0; i < padded; i += Lanes)
        {
            var v = Vector512.Load(scores + i);
            if (!Vector512.EqualsAll(v, v))
                return true;
        }

        return false;
    }

    // Those at or above the bound, in their order.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Filter(float* scores, int padded, float bound, float* candidates, int* places)
    {
        var limit = Vector512.Create(bound);
        var found = 0;
        if (Avx512F.IsSupported)
        {
            var place = Vector512<int>.Indices;
            for (var i = 0; i < padded; i += Lanes)
            {
                var v = Vector512.Load(scores + i);
                var mask = Vector512.GreaterThanOrEqual(v, limit);
                // The rest of the vector is overwritten by the next.
                Avx512F.Compress(Vector512<float>.Zero, mask, v).Store(candidates + found);
                Avx512F.Compress(Vector512<int>.Zero, mask.AsInt32(), place).Store(places + found);
                found += BitOperations.PopCount(mask.ExtractMostSignificantBits());
                place += Vector512.Create(Lanes);
            }

            return found;
        }

        for (var i = 0; i < padded; i += Lanes)
        {
            for (
                var mask = Vector512.GreaterThanOrEqual(Vector512.Load(scores + i), limit).ExtractMostSignificantBits();
                mask != 0;
                mask &= mask - 1)
            {
                var place = i + BitOperations.TrailingZeroCount(mask);
                (candidates[found], places[found]) = (scores[place], place);
                found++;
            }
        }

        return found;
    }

    // Where the bound is -∞, padding has reached it.
    private static int DropPadding(int* places, int found, int count)
    {
        while (found > 0 && places[found - 1] >= count)
            found--;
        return found;
    }

    // A candidate's place in the result is the number of larger ones, as long as none are equal.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rank(float* candidates, int* candidatePlaces, int found, int k, float* values, int* places)
    {
        for (var i = found; i < RoundUp(found); i++)
            candidates[i] = float.NegativeInfinity;
        var ranks = stackalloc int[Alignment];
        var (taken, ranked) = (0UL, 0);
        for (var first = 0; first < found && k <= MostRankedAtOnce; first += Alignment)
        {
            var (own, ownToo) = (Vector512.Load(candidates + first), Vector512.Load(candidates + first + Lanes));
            var (rank, rankToo) = (Vector512<int>.Zero, Vector512<int>.Zero);
            for (var i = 0; i < found; i++)
            {
                var other = Vector512.Create(candidates[i]);
                rank -= Vector512.GreaterThan(other, own).AsInt32();   // -1 where it is
                rankToo -= Vector512.GreaterThan(other, ownToo).AsInt32();
            }

            var last = Vector512.Create(k);   // all others share the last place, which nobody reads
            Vector512.Min(rank, last).Store(ranks);
            Vector512.Min(rankToo, last).Store(ranks + Lanes);
            for (var i = 0; i < Math.Min(Alignment, found - first); i++)
            {
                var place = ranks[i];
                (values[place], places[place]) = (candidates[first + i], candidatePlaces[first + i]);
                taken |= 1UL << place;
                ranked += place < k ? 1 : 0;
            }
        }

        var wanted = (1UL << k) - 1;
        if (k > MostRankedAtOnce || ranked != k || (taken & wanted) != wanted)
            RankWithEqual(candidates, candidatePlaces, found, k, values, places);
    }

    // A candidate's place in the result is the number of larger ones, and of equal ones before it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RankWithEqual(float* candidates, int* candidatePlaces, int found, int k, float* values, int* places)
    {
        var vectors = (found + Lanes - 1) / Lanes;
        for (var i = 0; i < found; i++)
        {
            var own = Vector512.Create(candidates[i]);
            var ownVector = i / Lanes;
            var rank = 0;
            for (var v = 0; v < ownVector; v++)
                rank += BitOperations.PopCount(
                    Vector512.GreaterThanOrEqual(Vector512.Load(candidates + (v * Lanes)), own).ExtractMostSignificantBits());
            var at = Vector512.Load(candidates + (ownVector * Lanes));
            var before = (1UL << (i % Lanes)) - 1;
            rank += BitOperations.PopCount(
                Vector512.GreaterThan(at, own).ExtractMostSignificantBits()
                    | (Vector512.GreaterThanOrEqual(at, own).ExtractMostSignificantBits() & before));
            for (var v = ownVector + 1; v < vectors; v++)
                rank += BitOperations.PopCount(
                    Vector512.GreaterThan(Vector512.Load(candidates + (v * Lanes)), own).ExtractMostSignificantBits());
            rank = Math.Min(rank, k);   // all others share the last place, which nobody reads
            (values[rank], places[rank]) = (candidates[i], candidatePlaces[i]);
        }
    }

    private static void Insert(float* scores, int* scorePlaces, int count, int k, float* values, int* places)
    {
        var length = 0;
        for (var i = 0; i < count; i++)
            length = Add(scores[i], scorePlaces == null ? i : scorePlaces[i], k, values, places, length);
    }

    private static bool IsLarger(float one, float other) => one > other || (float.IsNaN(one) && !float.IsNaN(other));
}

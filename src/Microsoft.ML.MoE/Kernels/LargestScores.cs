// The k largest of some numbers, without sorting them.
//
// The maxima of g ≥ k groups bound the k-th largest number from below: k groups have a number at least as large as the smallest of their maxima. With a group for each lane of a vector
// that bound costs one maximum a number; it leaves some forty of 1024 random numbers for k = 16. Their places are found by counting how many are larger.

using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels;

/// <summary>Finds the largest scores. Of equal ones, the first. A NaN counts as larger than every number, so that it is not lost.</summary>
internal static unsafe class LargestScores
{
    /// <summary>Rows of scores are as long as a multiple of this.</summary>
    public const int Alignment = 2 * Lanes;

    private const int Lanes = 16;
    private const int MostRanked = 128;   // candidates; ranking them takes time with their square
    private const int MostBounded = 2 * Lanes;

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
    /// <param name="scores">Scores without NaN, in room for a multiple of sixteen of them; what follows them is overwritten.</param>
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
        var nan = Vector512<float>.Zero;
        for (var i = 0; i < padded; i += Alignment)
        {
            var (a, b) = (Vector512.Load(scores + i), Vector512.Load(scores + i + Lanes));
            first = Vector512.MaxNative(first, a);
            second = Vector512.MaxNative(second, b);
            nan += (a - a) + (b - b);   // 0, or NaN where a number is not finite
        }

        // Padding is not finite either: it is in the last vectors alone, and says nothing.
        if (!Vector512.EqualsAll(nan, nan) && HasNaN(scores, padded))
            return float.NaN;
        if (Avx512F.IsSupported && k <= Lanes)
            return LargestOfTwo(first, second, k);
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

    // The k-th largest of 32 numbers, k up to 16: of one vector in ascending and one in descending order, the larger of each two are the sixteen largest.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float LargestOfTwo(Vector512<float> first, Vector512<float> second, int k)
    {
        var larger = Vector512.MaxNative(SortDescending(first), Avx512F.PermuteVar16x32(SortDescending(second), Vector512.Create(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)));
        return SortDescending(larger)[k - 1];
    }

    // Batcher's bitonic network: each number is compared with the one whose place differs in one bit.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> SortDescending(Vector512<float> v)
    {
        var (by1, by2) = (Vector512.Create(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14), Vector512.Create(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
        var (by4, by8) = (Vector512.Create(4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11), Vector512.Create(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
        v = Exchange(v, by1, 0b0110_0110_0110_0110);
        v = Exchange(v, by2, 0b0011_1100_0011_1100);
        v = Exchange(v, by1, 0b0101_1010_0101_1010);
        v = Exchange(v, by4, 0b0000_1111_1111_0000);
        v = Exchange(v, by2, 0b0011_0011_1100_1100);
        v = Exchange(v, by1, 0b0101_0101_1010_1010);
        v = Exchange(v, by8, 0b1111_1111_0000_0000);
        v = Exchange(v, by4, 0b1111_0000_1111_0000);
        v = Exchange(v, by2, 0b1100_1100_1100_1100);
        return Exchange(v, by1, 0b1010_1010_1010_1010);
    }

    // Where a bit of the mask is set, the smaller of a number and its partner; else the larger.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<float> Exchange(Vector512<float> v, Vector512<int> partners, uint smaller)
    {
        var partner = Avx512F.PermuteVar16x32(v, partners);
        var bits = Vector512.Create(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768);
        var takesSmaller = Vector512.Equals(Vector512.Create((int)smaller) & bits, bits).AsSingle();
        return Vector512.ConditionalSelect(takesSmaller, Vector512.MinNative(v, partner), Vector512.MaxNative(v, partner));
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
                Avx512F.Compress(Vector512<float>.Zero, mask, v).Store(candidates + found);   // the rest of the vector is overwritten by the next
                Avx512F.Compress(Vector512<int>.Zero, mask.AsInt32(), place).Store(places + found);
                found += BitOperations.PopCount(mask.ExtractMostSignificantBits());
                place += Vector512.Create(Lanes);
            }

            return found;
        }

        for (var i = 0; i < padded; i += Lanes)
        {
            for (var mask = Vector512.GreaterThanOrEqual(Vector512.Load(scores + i), limit).ExtractMostSignificantBits(); mask != 0; mask &= mask - 1)
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

    // A candidate's place in the result is the number of larger ones, and of equal ones before it.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rank(float* candidates, int* candidatePlaces, int found, int k, float* values, int* places)
    {
        var vectors = (found + Lanes - 1) / Lanes;
        for (var i = found; i < vectors * Lanes; i++)
            candidates[i] = float.NegativeInfinity;
        for (var i = 0; i < found; i++)
        {
            var own = Vector512.Create(candidates[i]);
            var ownVector = i / Lanes;
            var rank = 0;
            for (var v = 0; v < ownVector; v++)
                rank += BitOperations.PopCount(Vector512.GreaterThanOrEqual(Vector512.Load(candidates + (v * Lanes)), own).ExtractMostSignificantBits());
            var at = Vector512.Load(candidates + (ownVector * Lanes));
            var before = (1UL << (i % Lanes)) - 1;
            rank += BitOperations.PopCount(Vector512.GreaterThan(at, own).ExtractMostSignificantBits() | (Vector512.GreaterThanOrEqual(at, own).ExtractMostSignificantBits() & before));
            for (var v = ownVector + 1; v < vectors; v++)
                rank += BitOperations.PopCount(Vector512.GreaterThan(Vector512.Load(candidates + (v * Lanes)), own).ExtractMostSignificantBits());
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

// Normal random numbers by all threads: libtorch draws them one after the other, which for a table of gigabytes takes many seconds.
//
// Box and Muller, "A Note on the Generation of Random Normal Deviates", Ann. Math. Stat. 29 (1958): √(-2 ln u)·cos 2πv and √(-2 ln u)·sin
// 2πv of two uniform numbers.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>
/// Fills memory with normal random numbers, which are a function of a seed and of their place: the same whatever the number of threads.
/// </summary>
/// <typeparam name="TRow">How the numbers are stored.</typeparam>
internal static unsafe class NormalNumbers<TRow> where TRow : struct, IRowFormat
{
    private const int BlockSize = 1 << 14;
    private const int Lanes = 16;

    /// <summary>Overwrites numbers with mean 0.</summary>
    /// <param name="team">Who works.</param>
    /// <param name="numbers">The first.</param>
    /// <param name="count">How many.</param>
    /// <param name="deviation">Standard deviation.</param>
    /// <param name="seed">The seed.</param>
    public static void Fill(WorkTeam team, byte* numbers, long count, float deviation, long seed) =>
        team.ForEach(checked((int)((count + BlockSize - 1) / BlockSize)), (block, _) =>
        {
            var first = (long)block * BlockSize;
            FillBlock(
                numbers + (first * TRow.Bytes),
                (int)Math.Min(BlockSize, count - first),
                deviation,
                Noise.Mix((ulong)seed + (ulong)block),
                Noise.Mix(~(ulong)seed - (ulong)block));
        });

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FillBlock(byte* numbers, int count, float deviation, uint one, uint other)
    {
        var nearest = Vector512.Create(0x80000000u);   // instead of random bits: half of what is cut off
        var unit = Vector512.Create(1f / (1 << 24));
        float* rest = stackalloc float[2 * Lanes];
        for (var i = 0; i < count; i += 2 * Lanes)
        {
            var u =
                // Above 0, up to 1.
                Vector512.ConvertToSingle(Vector512.ShiftRightLogical(Noise.At(one, other, i), 8).AsInt32() + Vector512<int>.One) * unit;
            var v = Vector512.ConvertToSingle(Vector512.ShiftRightLogical(Noise.At(one, other, i + Lanes), 8).AsInt32()) * unit;
            var length = Vector512.Sqrt(Vector512.Log(u) * Vector512.Create(-2f)) * Vector512.Create(deviation);
            var (sine, cosine) = Vector512.SinCos(v * Vector512.Create(2 * MathF.PI));
            if (i + (2 * Lanes) <= count)
            {
                TRow.Store(numbers, i, length * cosine, nearest);
                TRow.Store(numbers, i + Lanes, length * sine, nearest);
                continue;
            }

            (length * cosine).Store(rest);
            (length * sine).Store(rest + Lanes);
            for (var j = i; j < count; j++)
                TRow.StoreOne(numbers, j, rest[j - i], nearest[0]);
        }
    }
}

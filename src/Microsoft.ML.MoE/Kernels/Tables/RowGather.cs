// Products with, and sums of, rows that lie anywhere in a large table. The rows are read where they lie, four at a time, while the
// processor fetches those that are needed next.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>Reads rows of tables by number.</summary>
/// <typeparam name="TRow">How their numbers are stored.</typeparam>
internal static unsafe class RowGather<TRow> where TRow : struct, IRowFormat
{
    private const int CacheLine = 64;

    /// <summary>products[i] = row ids[i] · vector.</summary>
    /// <param name="table">The table.</param>
    /// <param name="width">Numbers of a row.</param>
    /// <param name="ids">Rows.</param>
    /// <param name="count">How many.</param>
    /// <param name="vector">What they are multiplied with.</param>
    /// <param name="products">Receives the products.</param>
    /// <param name="next">The rows to fetch meanwhile.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Dots(byte* table, int width, long* ids, int count, float* vector, float* products, in RowFetch next)
    {
        var stride = (nint)width * TRow.Bytes;
        var n = 0;
        for (; n + 4 <= count; n += 4)
        {
            var (a, b, c, d) = (
                Pointer(table, ids[n], stride),
                Pointer(table, ids[n + 1], stride),
                Pointer(table, ids[n + 2], stride),
                Pointer(table, ids[n + 3], stride));
            Fetch(next, n, 4, stride);
            var (sumA, sumB, sumC, sumD) = (Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero, Vector512<float>.Zero);
            var i = 0;
            for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
            {
                var x = Vector512.Load(vector + i);
                sumA = Vector512.FusedMultiplyAdd(TRow.Load((byte*)a, i), x, sumA);
                sumB = Vector512.FusedMultiplyAdd(TRow.Load((byte*)b, i), x, sumB);
                sumC = Vector512.FusedMultiplyAdd(TRow.Load((byte*)c, i), x, sumC);
                sumD = Vector512.FusedMultiplyAdd(TRow.Load((byte*)d, i), x, sumD);
            }

            products[n] = Vector512.Sum(sumA);
            products[n + 1] = Vector512.Sum(sumB);
            products[n + 2] = Vector512.Sum(sumC);
            products[n + 3] = Vector512.Sum(sumD);
            for (; i < width; i++)
            {
                products[n] += TRow.LoadOne((byte*)a, i) * vector[i];
                products[n + 1] += TRow.LoadOne((byte*)b, i) * vector[i];
                products[n + 2] += TRow.LoadOne((byte*)c, i) * vector[i];
                products[n + 3] += TRow.LoadOne((byte*)d, i) * vector[i];
            }
        }

        for (; n < count; n++)
        {
            var row = (byte*)Pointer(table, ids[n], stride);
            Fetch(next, n, 1, stride);
            var sum = Vector512<float>.Zero;
            var i = 0;
            for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
                sum = Vector512.FusedMultiplyAdd(TRow.Load(row, i), Vector512.Load(vector + i), sum);
            products[n] = Vector512.Sum(sum);
            for (; i < width; i++)
                products[n] += TRow.LoadOne(row, i) * vector[i];
        }
    }

    /// <summary>sum += Σ factors[i] · row ids[i].</summary>
    /// <param name="table">The table.</param>
    /// <param name="width">Numbers of a row.</param>
    /// <param name="ids">Rows.</param>
    /// <param name="count">How many.</param>
    /// <param name="factors">What they are multiplied with.</param>
    /// <param name="sum">What is added to.</param>
    /// <param name="next">The rows to fetch meanwhile.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void AddRows(byte* table, int width, long* ids, int count, float* factors, float* sum, in RowFetch next)
    {
        var stride = (nint)width * TRow.Bytes;
        var n = 0;
        for (; n + 4 <= count; n += 4)
        {
            var (a, b, c, d) = (
                Pointer(table, ids[n], stride),
                Pointer(table, ids[n + 1], stride),
                Pointer(table, ids[n + 2], stride),
                Pointer(table, ids[n + 3], stride));
            Fetch(next, n, 4, stride);
            var (fa, fb, fc, fd) = (factors[n], factors[n + 1], factors[n + 2], factors[n + 3]);
            var (va, vb, vc, vd) = (Vector512.Create(fa), Vector512.Create(fb), Vector512.Create(fc), Vector512.Create(fd));
            var i = 0;
            for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
            {
                var s = Vector512.FusedMultiplyAdd(TRow.Load((byte*)a, i), va, Vector512.Load(sum + i));
                s = Vector512.FusedMultiplyAdd(TRow.Load((byte*)b, i), vb, s);
                s = Vector512.FusedMultiplyAdd(TRow.Load((byte*)c, i), vc, s);
                Vector512.FusedMultiplyAdd(TRow.Load((byte*)d, i), vd, s).Store(sum + i);
            }

            for (; i < width; i++)
            {
                sum[i] += (TRow.LoadOne((byte*)a, i) * fa) + (TRow.LoadOne((byte*)b, i) * fb);
                sum[i] += (TRow.LoadOne((byte*)c, i) * fc) + (TRow.LoadOne((byte*)d, i) * fd);
            }
        }

        for (; n < count; n++)
        {
            var row = (byte*)Pointer(table, ids[n], stride);
            Fetch(next, n, 1, stride);
            var factor = Vector512.Create(factors[n]);
            var i = 0;
            for (; i + Vector512<float>.Count <= width; i += Vector512<float>.Count)
                Vector512.FusedMultiplyAdd(TRow.Load(row, i), factor, Vector512.Load(sum + i)).Store(sum + i);
            for (; i < width; i++)
                sum[i] += TRow.LoadOne(row, i) * factors[n];
        }
    }

    /// <summary>Asks the processor to bring a row into the cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Fetch(byte* row, nint bytes)
    {
        if (!Sse.IsSupported)
            return;
        for (nint i = 0; i < bytes; i += CacheLine)
            Sse.Prefetch0(row + i);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Fetch(in RowFetch next, int first, int count, nint stride)
    {
        for (var n = first; n < first + count && n < next.Count; n++)
            Fetch(next.Table + (next.Ids[n] * stride), stride);
    }

    // As a number: pointers do not fit into tuples.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static nint Pointer(byte* table, long row, nint stride) => (nint)(table + ((nint)row * stride));
}

// Axes: L = queries, P = keys, A = width of a head.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Microsoft.ML.MoE.Kernels;
using Microsoft.ML.MoE.Kernels.Gemm;

namespace Microsoft.ML.MoE.Inference;

/// <summary>softmax(Q·Kᵀ/√A)·V of one head: the scores of a few queries at a time stay in the cache.</summary>
internal static unsafe class Attention
{
    private const int FewQueries = 2;   // packing the keys costs more than the products
    private static readonly int TileRows = MicroKernel.Rows;

    /// <summary>Numbers of memory that <see cref="Run"/> needs.</summary>
    /// <param name="keys">P.</param>
    /// <param name="headWidth">A.</param>
    public static long MemoryOf(int keys, int headWidth) =>
        PackedMatrix.Size(headWidth, keys) + PackedMatrix.Size(keys, headWidth) + ((long)TileRows * ScoreStride(keys)) + 64;

    /// <summary>Attends.</summary>
    /// <param name="query">(L, A).</param>
    /// <param name="key">(P, A).</param>
    /// <param name="value">(P, A).</param>
    /// <param name="headWidth">A.</param>
    /// <param name="visible">Keys that the first query sees; each later one sees one more, as far as there are.</param>
    /// <param name="mixed">Receives (L, A), and nothing is added to it.</param>
    /// <param name="memory">Room for <see cref="MemoryOf"/> numbers.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Run(
        HeadRows query, HeadRows key, HeadRows value, int headWidth, int visible, ProductTarget mixed, float* memory)
    {
        if (query.Count <= FewQueries)
        {
            for (var i = 0; i < query.Count; i++)
                RunOne(
                    query.First + (i * query.Stride),
                    key,
                    value,
                    headWidth,
                    Math.Min(visible + i, key.Count),
                    mixed.Data + (i * mixed.Stride),
                    memory);
            return;
        }

        var keys = new PackedMatrix(memory, headWidth, key.Count);
        memory += PackedMatrix.Size(headWidth, key.Count);
        var values = new PackedMatrix(memory, key.Count, headWidth);
        memory += PackedMatrix.Size(key.Count, headWidth);
        keys.Pack(new Operand(key.First, key.Stride, termsAlongRow: true));
        values.Pack(new Operand(value.First, value.Stride, termsAlongRow: false));
        var scoreStride = ScoreStride(key.Count);
        for (var first = 0; first < query.Count; first += TileRows)
        {
            var rows = Math.Min(TileRows, query.Count - first);
            var most = Math.Min(visible + first + rows - 1, key.Count);
            PackedProduct.Run(
                new(query.First + (first * query.Stride), query.Stride), keys, headWidth, new(0, rows, 0, most), new(memory, scoreStride));
            for (var i = 0; i < rows; i++)
            {
                var scores = memory + ((nint)i * scoreStride);
                var seen = Math.Min(visible + first + i, key.Count);
                var sum = Softmax.Exponentiate(scores, seen, ScaleOf(headWidth));
                Scale(scores, seen, 1 / sum);
                new Span<float>(scores + seen, most - seen).Clear();
            }
            PackedProduct.Run(
                new(memory, scoreStride),
                values,
                most,
                new(0, rows, 0, headWidth),
                new(mixed.Data + (first * mixed.Stride), mixed.Stride));
        }
    }

    private static float ScaleOf(int headWidth) => (float)(1 / Math.Sqrt(headWidth));

    private static int ScoreStride(int keys) => (keys + 31) / 16 * 16;

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void RunOne(float* query, HeadRows key, HeadRows value, int headWidth, int seen, float* mixed, float* scores)
    {
        for (var i = 0; i < seen; i++)
            scores[i] = Dot(query, key.First + (i * key.Stride), headWidth);
        var sum = Softmax.Exponentiate(scores, seen, ScaleOf(headWidth));
        new Span<float>(mixed, headWidth).Clear();
        for (var i = 0; i < seen; i++)
            RowSums.AddScaled(value.First + (i * value.Stride), scores[i] / sum, mixed, headWidth);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Dot(float* a, float* b, int count)
    {
        var sums = Vector512<float>.Zero;
        var i = 0;
        for (; i + VectorMemory.Count <= count; i += VectorMemory.Count)
            sums = Vector512.FusedMultiplyAdd(Vector512.Load(a + i), Vector512.Load(b + i), sums);
        var sum = Vector512.Sum(sums);
        for (; i < count; i++)
            sum += a[i] * b[i];
        return sum;
    }

    private static void Scale(float* x, int count, float factor)
    {
        for (var i = 0; i < count; i++)
            x[i] *= factor;
    }
}

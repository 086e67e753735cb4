// The norm of a gradient that has a few rows of a large table.
//
// Axes: D = width, P = pairs (token, row), R = distinct rows.

using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Microsoft.ML.MoE.Kernels.Tables;

/// <summary>Sums of squares of rows of gradients.</summary>
internal static unsafe class RowNorm
{
    private const int RowsPerTask = 256;

    /// <summary>
    /// The sum of squares of all rows, each made of its pairs first: pairs of the same row do not count one by one. Does not depend on the
    /// number of threads.
    /// </summary>
    /// <param name="team">Who works.</param>
    /// <param name="order">The pairs by row.</param>
    /// <param name="gradient">The gradient.</param>
    /// <param name="width">D.</param>
    public static double SumOfSquares(WorkTeam team, RowOrder order, RowGradient gradient, int width)
    {
        var parts = new double[(order.Count + RowsPerTask - 1) / RowsPerTask];
        team.ForEach(parts.Length, (task, scratch) =>
        {
            var sum = 0.0;
            var start = order.Start(task * RowsPerTask);
            for (var i = task * RowsPerTask; i < Math.Min((task + 1) * RowsPerTask, order.Count); i++)
            {
                var vector = gradient.OfRow(order.Pairs + start, order.Ends[i] - start, scratch, out var multiple);
                sum += (double)multiple * multiple * SumOfSquares(vector, width);
                start = order.Ends[i];
            }

            parts[task] = sum;
        });
        return parts.Sum();
    }

    /// <summary>Σ v².</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float SumOfSquares(float* vector, int width)
    {
        var (a, b) = (Vector512<float>.Zero, Vector512<float>.Zero);
        var i = 0;
        for (; i + (2 * Vector512<float>.Count) <= width; i += 2 * Vector512<float>.Count)
        {
            var (va, vb) = (Vector512.Load(vector + i), Vector512.Load(vector + i + Vector512<float>.Count));
            a = Vector512.FusedMultiplyAdd(va, va, a);
            b = Vector512.FusedMultiplyAdd(vb, vb, b);
        }

        var sum = Vector512.Sum(a + b);
        for (; i < width; i++)
            sum += vector[i] * vector[i];
        return sum;
    }
}
